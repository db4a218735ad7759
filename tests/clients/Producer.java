// Orders, one a line, from standard input to Kafka:  java -cp 'libs/*' Producer.java BROKERS < orders.ndjson
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

public class Producer {
    public static void main(String[] args) throws Exception {
        var settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("enable.idempotence", true); // no order twice and none out of order; brings acks=all
        var json = new ObjectMapper();
        var sent = new ArrayList<Future<RecordMetadata>>();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
                var lines = new Scanner(System.in, "UTF-8")) {
            while (lines.hasNextLine()) {
                var order = lines.nextLine();
                var user = json.readTree(order).get("user_id").asText();
                sent.add(producer.send(new ProducerRecord<>("orders", user, order)));
            }
        }
        for (var each : sent) each.get(); // throws where one was not taken
    }
}

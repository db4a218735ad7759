// Decisions as they are made:  java -cp 'libs/*' Consumer.java BROKERS GROUP
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Consumer {
    public static void main(String[] args) throws Exception {
        var settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", args[1]);
        settings.put("auto.offset.reset", "earliest"); // where the group has no place yet
        settings.put("enable.auto.commit", false); // the place is kept once decisions have been acted on
        settings.put("isolation.level", "read_committed");
        var json = new ObjectMapper();
        var done = new HashSet<String>(); // at-least-once: keep these ids beside what you do with a decision
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("fraud"));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    var decision = json.readTree(record.value());
                    if (done.add(decision.get("decision_id").asText()))
                        System.out.println(decision.get("order_id").asText() + " " + decision.get("action").asText());
                }
                consumer.commitSync();
            }
        }
    }
}

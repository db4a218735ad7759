"""The simulated shop: seeded customers and attackers whose every event comes with the truth about it.

`shop.Shop` makes events in time order without end; `disturb.disturb` spoils their arrival (copies, late and shuffled
events, garbage) as a real network does. It needs only `schemas`, reads no clock and no file: the same seed and start
give the same bytes anywhere.
The price: behaviour is drawn from a handful of stated rates, so it exercises the stream and its rules; it does not
stand in for recorded data where a model is to be judged.
"""

"""A load made by emqtt_bench, for those who have it and trust its figures.

It can say less than the built-in load, and the windows show it:

- Latency is known in whole milliseconds and in its histogram's buckets (1, 5, 10, 25, 50, 100, 500, 1,000 ms ...), read
  from its Prometheus endpoint. A message counts as on time when it lies in a bucket that ends at or below the SLO: with an
  SLO of 20 ms, those that took up to 10 ms. Without the endpoint nothing counts as on time, and the status says so.
- Lost and duplicated messages are not known (its `cnt64` header ends a subscriber at the first gap): 0 and 0. `missing` is
  what was sent and not received, messages under way included.
- It has no client round trip, bursts or absent subscribers, and sends at most 1,000 messages a second per publisher, at
  intervals of whole milliseconds; profiles that ask for more are refused.
- It gets a user name, but neither password (it takes one on its command line only, where everybody on the machine could read
  it) nor TLS (it does not check who the broker is) nor WebSocket; such brokers are refused.
- It does not come back after a restart of the broker (its processes stay, without clients), so it is started again then,
  which takes a second or two.

Options and output as in emqtt-bench 0.6.2.
"""

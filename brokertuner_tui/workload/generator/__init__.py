"""The built-in MQTT load: one process, one epoll loop, publishes patched in place and packets scanned with numpy.

Run by `BuiltinLoad` as `python -m brokertuner_tui.workload.generator FD`, FD being its end of a Unix socket pair. Numpy is
the only package that it imports, so that it is up in a tenth of a second.

How it stays ahead of a broker: what is done once a batch (a system call, a numpy call) is never done once a message.
Publishes of one publisher lie in one buffer, in which only sequence numbers, packet ids and send times change; received
packets of one size are read as a table; acknowledgements are one array; counting waits until there is something to count
(`Ledger`), which is no loss, because the time of reception was taken before.

Latency is the time of a subscriber's receive call less that of the publisher's send call, both from one monotonic clock in
one process. A batch shares one time: the messages of a send call are stamped just before it, those of a receive call just
after it. Both calls carry 64 KiB at most (256 KiB of large messages), so a message's own moment is off by the tens of
microseconds that copying them takes. What the generator itself is late by is in the latency, as it would be with any client;
`generator_cpu` near 1 says when that is much.
"""

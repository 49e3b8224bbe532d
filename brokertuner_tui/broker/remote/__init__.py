"""A broker on another host, driven through the brokertuner-tui agent there."""

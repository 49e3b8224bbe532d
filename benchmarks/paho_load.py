"""A load made with paho-mqtt as one would write it: `python benchmarks/paho_load.py SHAPE`, for `generator_vs_paho.py`.

SHAPE is a JSON object with host, port, publishers, subscribers, topics, qos, payload_bytes, window, settle_s, seconds. One
network thread a client (`loop_start`), one thread a publisher; each has `window` messages under way at most, QoS 0 counted
by delivery. Prints how many messages came in `seconds`, and the process's CPU time for them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


class Load:
    """Publishers and subscribers."""

    def __init__(self, shape: dict[str, Any]) -> None:
        self.shape = shape
        self.received = [0] * shape["subscribers"]
        self.room = [threading.Semaphore(shape["window"]) for _ in range(shape["publishers"])]
        self.stopping = False
        self.subscribed = threading.Semaphore(0)

    def client(self, name: str) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=name)
        client.max_inflight_messages_set(self.shape["window"])
        client.connect(self.shape["host"], self.shape["port"])
        return client

    def subscriber(self, index: int) -> Client:
        client = self.client(f"sub-{index}")
        count_deliveries = self.shape["qos"] == 0

        def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
            self.received[index] += 1
            if count_deliveries:
                self.room[message.payload[0]].release()

        client.on_message = on_message
        client.on_subscribe = lambda *_: self.subscribed.release()
        client.subscribe(f"paho/{index % self.shape['topics']}", self.shape["qos"])
        client.loop_start()
        return client

    def publisher(self, index: int) -> tuple[Client, threading.Thread]:
        client = self.client(f"pub-{index}")
        if self.shape["qos"]:
            client.on_publish = lambda *_: self.room[index].release()
        client.loop_start()
        thread = threading.Thread(target=self.publish, args=(client, index), daemon=True)
        return client, thread

    def publish(self, client: Client, index: int) -> None:
        topic, qos = f"paho/{index % self.shape['topics']}", self.shape["qos"]
        payload = bytes((index,)) + bytes(self.shape["payload_bytes"] - 1)
        while not self.stopping:
            self.room[index].acquire()
            client.publish(topic, payload, qos)

    def run(self) -> dict[str, float]:
        clients = [self.subscriber(index) for index in range(self.shape["subscribers"])]
        for _ in clients:
            self.subscribed.acquire()
        made = [self.publisher(index) for index in range(self.shape["publishers"])]
        for _, thread in made:
            thread.start()
        time.sleep(self.shape["settle_s"])
        received, cpu, began = sum(self.received), time.process_time(), time.perf_counter()
        time.sleep(self.shape["seconds"])
        result = {
            "received": sum(self.received) - received,
            "cpu_s": time.process_time() - cpu,
            "seconds": time.perf_counter() - began,
        }
        self.stopping = True
        return result


if __name__ == "__main__":
    print(json.dumps(Load(json.loads(sys.argv[1])).run()), flush=True)
    import os

    os._exit(0)  # paho's threads are in the midst of things

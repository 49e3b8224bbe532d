"""The broker under the tuner's hand: finding Mosquitto, running it, applying knobs, and proving that they are in force."""

"""A publisher with confirms, and a consumer, for the demo of the message brokers (python3-pika).

publisher.py publish QUEUE HOST...   one persistent message every 20 ms, a number each, to whichever broker takes it;
                                     prints "ack N" when N was confirmed and "error TEXT"; ends with its standard input
publisher.py drain QUEUE LAST HOST...   consumes until message LAST or the queue's end; prints "got N" for each

The password of the user `openstack` is AMQP_PASSWORD in the environment.
"""

import itertools
import os
import signal
import sys
import threading
import time

import pika

PERIOD = 0.02
CONNECT_MAX = 1.5
CONFIRM_MAX = 2.0
EMPTY_AFTER = 3.0


class Late(Exception):
    """Nobody answered in time."""


def late(*_):
    raise Late("no answer in time")


def within(seconds):
    signal.setitimer(signal.ITIMER_REAL, seconds)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def connect(host):
    credentials = pika.PlainCredentials("openstack", os.environ["AMQP_PASSWORD"])
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host=host,
            virtual_host="openstack",
            credentials=credentials,
            socket_timeout=0.7,
            stack_timeout=CONNECT_MAX,
            connection_attempts=1,
            heartbeat=10,
        )
    )


def open_queue(host, queue):
    within(CONNECT_MAX)
    connection = connect(host)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(queue, durable=True)
    within(0)
    return connection, channel


def publish(queue, hosts):
    persistent = pika.BasicProperties(delivery_mode=2)
    number = 0
    for host in itertools.cycle(hosts):
        try:
            _connection, channel = open_queue(host, queue)
            while True:
                began = time.monotonic()
                within(CONFIRM_MAX)
                channel.basic_publish("", queue, str(number).encode(), persistent, mandatory=True)
                within(0)
                say("ack %d" % number)
                number += 1
                time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))
        except Exception as error:  # whatever it is: the next broker
            within(0)
            say("error %s: %s %s" % (host, type(error).__name__, str(error)[:160]))
            time.sleep(0.02)


def drain(queue, last, hosts):
    for host in itertools.cycle(hosts):
        try:
            _connection, channel = open_queue(host, queue)
            tag = None
            for method, _properties, body in channel.consume(queue, inactivity_timeout=EMPTY_AFTER):
                if method is None:
                    break
                say("got " + body.decode())
                tag = method.delivery_tag
                if int(body) >= last:
                    break
                if tag % 500 == 0:
                    channel.basic_ack(tag, multiple=True)
            if tag is not None:
                channel.basic_ack(tag, multiple=True)
            channel.cancel()
            return
        except Exception as error:
            within(0)
            say("error %s: %s %s" % (host, type(error).__name__, str(error)[:160]))
            time.sleep(0.2)


def end_with_input():
    sys.stdin.read()
    os._exit(0)


signal.signal(signal.SIGALRM, late)
if sys.argv[1] == "publish":
    threading.Thread(target=end_with_input, daemon=True).start()
    publish(sys.argv[2], sys.argv[3:])
else:
    drain(sys.argv[2], int(sys.argv[3]), sys.argv[4:])

"""Sends events with the official CloudEvents SDK to the URL of its argument; prints each answer's JSON on a line."""

import json
import sys
import urllib.request

from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent

url = sys.argv[1]


def post(headers, body):
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 201, answer.status
        print(answer.read().decode(), flush=True)


def event(number, **more):
    return CloudEvent(
        {
            "id": f"event-{number}",
            "source": "/tests/plain",
            "type": "org.example.test",
            "subject": "a subject with blanks",
            "time": "2026-11-21T18:30:15Z",
            **more,
        },
        {"number": number, "text": "Grüße"},
    )


post(*to_binary(event(1, datacontenttype="application/json", partitionkey="p")))
post(*to_structured(event(2)))
batch = [json.loads(to_structured(event(number))[1]) for number in (3, 4)]
post({"Content-Type": "application/cloudevents-batch+json"}, json.dumps(batch).encode())

"""The official Python SDK, which speaks both eras."""

import json
import sys

import httpx2
from mcp import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

WISH = json.loads(sys.argv[1])


def target():
    if "command" in WISH:
        program, *arguments = WISH["command"]
        return StdioServerParameters(command=program, args=arguments, env=WISH["env"])
    headers = {"Authorization": f"Bearer {WISH['key']}"}
    http = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(120))
    return streamable_http_client(WISH["url"], http_client=http)


def mode():
    # It probes, as a client does that does not know the server; or it knows what it wants and takes nothing else.
    modern = "2026-07-28" if WISH.get("pinned") else "auto"
    return {"legacy": "legacy", "modern": modern}[WISH["era"]]

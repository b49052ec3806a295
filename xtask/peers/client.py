"""Real servers through the official Python SDK: see xtask/src/suite/peers.rs, which starts this."""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


def server(plan, way):
    if way == "stdio":
        program, *arguments = plan["connect"]
        return StdioServerParameters(command=program, args=arguments, env={"CASEMATE_HOME": plan["home"]})
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {plan['key']}"})
    return streamable_http_client(plan["url"], http_client=http)


async def visit(plan, way, mode):
    async with Client(server(plan, way), mode=mode, read_timeout_seconds=60) as client:
        names, cursor = set(), None
        while True:
            page = await client.list_tools(cursor=cursor)
            names |= {tool.name for tool in page.tools}
            cursor = page.next_cursor
            if cursor is None:
                break
        for call in plan["calls"]:
            assert call["tool"] in names, f"{call['tool']} is not among {sorted(names)}"
            result = await client.call_tool(call["tool"], call["arguments"])
            text = " ".join(getattr(part, "text", "") for part in result.content)
            assert not result.is_error and call["contains"] in text, f"{call['tool']}: {text}"
    print(f"Python SDK over {way}, {mode}: {len(names)} tools, {len(plan['calls'])} calls")


async def main():
    plan = json.loads(sys.argv[1])
    for way in ("http", "stdio"):
        for mode in ("legacy", "auto", "2026-07-28"):
            await visit(plan, way, mode)


asyncio.run(main())

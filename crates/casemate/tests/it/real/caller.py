"""A client made of the official Python SDK that calls what it is told to, and prints what came back as JSON."""

import asyncio
import json

from mcp import Client
from mcp_types import CreateMessageResult, ElicitResult, TextContent
from sdk import WISH, mode, target


async def kept(client, result):
    """The text of a result of which the whole is kept, out of all its parts."""
    link = next((part.uri for part in result.content if part.type == "resource_link"), None)
    if link is None:
        return None
    base = str(link).rsplit("/", 1)[0]
    text, number, parts = "", 1, 1
    while number <= parts:
        part = await client.read_resource(f"{base}/{number}")
        text += "".join(piece.text for piece in part.contents)
        parts = part.meta["io.casemate/result"]["parts"]
        number += 1
    return text


async def main():
    asked = []

    async def answer(_context, question):
        asked.append(question.message)
        return ElicitResult(action="accept", content={"name": "Vauban", "integer": 7})

    async def sample(_context, question):
        first = question.messages[0].content
        asked.append((first[0] if isinstance(first, list) else first).text)
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="a star fort"), model="none")

    options = {"elicitation_callback": answer, "sampling_callback": sample, "read_timeout_seconds": 120}
    async with Client(target(), mode=mode(), **options) as client:
        tools = (await client.list_tools()).tools
        answers = []
        for call in WISH["calls"]:
            result = await client.call_tool(call["name"], call["arguments"])
            text = "\n".join(getattr(part, "text", "") for part in result.content)
            whole = await kept(client, result)
            answers.append({"text": text, "is_error": bool(result.is_error), "kept": whole})
        print(json.dumps({
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "answers": answers,
            "asked": asked,
        }))


asyncio.run(main())

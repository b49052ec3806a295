"""A client made of the official Python SDK. It does what `Seen` in sdks.rs lists, and prints that as JSON."""

import asyncio
import json

from mcp import Client
from mcp_types import ElicitResult, PromptReference
from sdk import WISH, mode, target


async def main():
    asked = []
    progress = []

    async def answer(_context, question):
        asked.append(question.message)
        return ElicitResult(action="accept", content={"name": "Vauban", "integer": 7})

    async def reported(done, total, _message):
        progress.append([done, total])

    async with Client(target(), mode=mode(), elicitation_callback=answer, read_timeout_seconds=120) as client:

        async def call(tool, arguments, **options):
            result = await client.call_tool(WISH["prefix"] + tool, arguments, **options)
            assert not result.is_error, result
            return result

        tools = (await client.list_tools()).tools
        echo = await call("echo", {"message": "hi"})
        weather = await call("get-structured-content", {"location": "Chicago"})
        await call("trigger-long-running-operation", {"duration": 0.6, "steps": 2}, progress_callback=reported)
        resources = (await client.list_resources()).resources
        listed = next(one for one in resources if one.name == "architecture.md")
        document = (await client.read_resource(listed.uri)).contents[0]
        templates = (await client.list_resource_templates()).resource_templates
        template = next(one for one in templates if "/text/" in one.uri_template)
        filled = template.uri_template.replace("{resourceId}", "7")
        dynamic = (await client.read_resource(filled)).contents[0]
        prompt = await client.get_prompt(WISH["prefix"] + "args-prompt", {"city": "Bern"})
        reference = PromptReference(type="ref/prompt", name=WISH["prefix"] + "completable-prompt")
        completion = await client.complete(reference, {"name": "department", "value": "S"})
        answered = await client.call_tool(WISH["question"], {}) if WISH["question"] else None

        print(json.dumps({
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "echo": echo.content[0].text,
            "structured": weather.structured_content,
            "document_uri_kept": str(document.uri) == str(listed.uri),
            "document": document.text,
            "dynamic": dynamic.text,
            "prompt": prompt.messages[0].content.text,
            "completion": completion.completion.values,
            "progress": progress,
            "asked": asked,
            "answered": answered and "\n".join(part.text for part in answered.content),
        }))


asyncio.run(main())

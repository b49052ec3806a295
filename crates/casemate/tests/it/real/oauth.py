"""The official Python SDK as a client that knows nothing but the endpoint: it is refused, finds the issuer, registers, logs
in (as a person would, in a browser), and calls. Then it needs a scope that it does not have, and gets it."""

import asyncio
import json
import re
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

WISH = json.loads(sys.argv[1])
REDIRECT = "http://127.0.0.1:9/callback"


class Storage:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def browse(url):
    """What a person does in a browser: fills in the forms of the issuer until it sends them back."""
    cookies = {}
    form = None
    async with httpx2.AsyncClient() as http:
        for _ in range(20):
            http.cookies.clear()
            headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
            answer = await (http.post(url, data=form, headers=headers) if form else http.get(url, headers=headers))
            for line in answer.headers.get_list("set-cookie"):
                name, value = line.split(";")[0].split("=", 1)
                cookies[name] = value
            form = None
            if answer.is_redirect:
                url = urljoin(str(url), answer.headers["location"])
                if url.startswith(REDIRECT):
                    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
                continue
            assert answer.status_code == 200, answer.text
            url = urljoin(str(url), re.search(r'action="([^"]+)"', answer.text)[1])
            form = {"prompt": re.search(r'name="prompt" value="([^"]+)"', answer.text)[1]}
            if form["prompt"] == "login":
                form |= {"login": "alice", "password": "any"}
    raise RuntimeError("the issuer does not let go")


async def main():
    asked = []
    back = {}

    async def redirect(url):
        query = parse_qs(urlsplit(url).query)
        asked.append({name: query[name][0] for name in ("scope", "resource")})
        back.update(await browse(url))

    async def callback():
        return AuthorizationCodeResult(code=back["code"], state=back.get("state"), iss=back.get("iss"))

    auth = OAuthClientProvider(
        server_url=WISH["url"],
        client_metadata=OAuthClientMetadata(
            client_name="a test", redirect_uris=[REDIRECT], grant_types=["authorization_code"],
            token_endpoint_auth_method="none",
        ),
        storage=Storage(),
        redirect_handler=redirect,
        callback_handler=callback,
    )
    http = httpx2.AsyncClient(auth=auth, timeout=httpx2.Timeout(120))
    mode = {"legacy": "legacy", "modern": "auto"}[WISH["era"]]
    async with Client(streamable_http_client(WISH["url"], http_client=http), mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        echo = (await client.call_tool("fixture__echo", {"message": "hi"})).content[0].text
        added = (await client.call_tool("fixture__test_simple_text", {})).content[0].text
        more = len((await client.list_tools()).tools)
    print(json.dumps({"asked": asked, "tools": tools, "echo": echo, "added": added, "more": more}))


asyncio.run(main())

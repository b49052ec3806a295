//! The pipes: framed bytes in and out.
//!
//! Knows: lines over stdio, HTTP/1.1 as server and as client, event streams and their resumption, WebSockets, Unix
//! sockets and who sits at their other end, and every bound on sizes, counts and times that a stranger could strain.
//! Does not know: what a message means, journeys, policies, or what a session stands for. JSON passes through as
//! bytes.
//!
//! | module | holds |
//! | --- | --- |
//! | [`link`] | what carries whole messages: `LinkSender`, the trait `LinkReader`, `Received`, `Farewell` |
//! | [`lines`] | `LineReader::next`, `writer(sink, queue, tracker) -> LinkSender`, `Ring` and `collect` for stderr |
//! | [`websocket`] | `accept`, `ask`, `link(stream, side, bounds) -> (LinkSender, Messages, carrying)` |
//! | [`listener`] | `Listener::bind_tcp`, `Listener::bind_unix`, `Peer` |
//! | [`unix`] | `Acceptor::accept -> Arrival { reader, writer, peer, place }` for `mcp.sock` |
//! | [`http::server`] | `Server::new(shell, service, stop, tracker).run(listener)`, the trait `Service` |
//! | [`http::head`] | `Head` and its accessors; `Reject` |
//! | [`http::inbound`] | `Inbound::read(limit, deadline)` |
//! | [`http::reply`] | `Reply::{empty, json, json_parts, text, events}` |
//! | [`http::events`] | `Event`, `channel(queue) -> (EventSender, EventBody)`, `Decoder` |
//! | [`http::streams`] | `Streams`: the resumable streams of one legacy session |
//! | [`http::client`] | `Client::endpoint(uri) -> Endpoint`, `Endpoint::{post, get_events, delete, send}`, `ResumingEvents` |

pub mod http;
pub mod lines;
pub mod link;
pub mod listener;
pub mod unix;
pub mod websocket;

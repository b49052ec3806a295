//! HTTP/1.1 as server and as client, with event streams.

pub mod client;
mod cors;
pub mod events;
pub mod forwarded;
pub mod head;
pub mod inbound;
pub mod probe;
pub mod reply;
pub mod rules;
pub mod server;
pub mod shell;
pub mod streams;
mod takeover;
pub mod tls;

pub use client::{Client, ClientFault, ClientOptions, Endpoint, Events, Posted};
pub use events::{Event, EventBody, EventSender};
pub use forwarded::{Network, NetworkFault, Proxies};
pub use head::{Channel, Head, Link, Reject, RejectReason};
pub use inbound::{BodyFault, Inbound};
pub use reply::{Reply, ReplyBody};
pub use rules::{HostRule, Origin, RuleFault};
pub use server::{Server, Service, TurnedAway};
pub use shell::{HttpLimits, Shell};
pub use takeover::{Duplex, Takeover};
pub use tls::{ClientCertificate, Tls};

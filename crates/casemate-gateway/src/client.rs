//! The client's side of the gateway: sessions of the legacy dialect, what is sent to a client outside of an answer,
//! and the questions that wait for a client's reply.

mod bus;
mod outlet;
mod questions;
mod session;
pub(crate) mod tasks;

pub use bus::{Bus, Listener, Listening, Wants};
pub use outlet::Outlet;
pub use questions::Questions;
pub use session::{Entered, InFlight, Session, SessionFault, Sessions, Title, Watch, Way};
pub use tasks::Tasks;

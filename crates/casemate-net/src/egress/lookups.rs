//! The name server of a cell. It asks nobody: it knows the names that are granted, and which address stands for each.

use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AnswerBuilder, PushError, StaticCompressor};
use domain::base::{Message, MessageBuilder, ParsedName, Question, Ttl};
use domain::rdata::A;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Tasks;
use super::gate::Gate;
use crate::attempt::{Attempt, Protocol, Reason, Verdict};
use crate::destination::NAME_SERVER_PORT;
use crate::name::Name;

/// How long an answer may be remembered. Short: asking costs nothing, and only who asks again keeps a name in use.
const ANSWER_LIFE: Ttl = Ttl::from_secs(10);

/// The longest question, in bytes. Honest ones, with all extensions, stay below 512.
const QUESTION_BYTES_MAX: usize = 1232;

/// How many connections may ask at once, and for how long one may say nothing.
const CONNECTIONS_MAX: usize = 16;
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Answers the datagrams of a cell.
pub(super) async fn datagrams(gate: Arc<Gate>, socket: UdpSocket) {
    let mut question = [0; QUESTION_BYTES_MAX];
    loop {
        gate.pace.step().await;
        let Ok((length, from)) = socket.recv_from(&mut question).await else { continue };
        let answer = question.get(..length).and_then(|question| gate.answer(question));
        if let Some(answer) = answer {
            // A cell that does not take its answers does not get them.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers the connections of a cell (RFC 7766 section 8).
pub(super) async fn connections(gate: Arc<Gate>, listener: TcpListener, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        gate.pace.step().await;
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let gate = Arc::clone(&gate);
        tasks.spawn(async move {
            converse(&gate, stream).await;
            drop(place);
        });
    }
}

async fn converse(gate: &Gate, mut stream: TcpStream) {
    loop {
        gate.pace.step().await;
        match timeout(SILENCE_MAX, exchange(gate, &mut stream)).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// One question and its answer, each after its length (RFC 1035 section 4.2.2). None, when that was the last.
async fn exchange(gate: &Gate, stream: &mut TcpStream) -> Option<()> {
    let length = usize::from(stream.read_u16().await.ok()?);
    let mut question = [0; QUESTION_BYTES_MAX];
    let question = question.get_mut(..length)?;
    stream.read_exact(question).await.ok()?;
    let answer = gate.answer(question)?;
    let length = u16::try_from(answer.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await.ok()
}

impl Gate {
    /// The answer to a question; none to what is no question.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let message = Message::from_octets(message).ok().filter(|message| !message.header().qr())?;
        if message.header().opcode() != Opcode::QUERY {
            return begin(&message, Rcode::NOTIMP).map(finish);
        }
        let Ok(question) = message.sole_question() else {
            // What cannot be read cannot be repeated, so this answer has no question.
            return Some(MessageBuilder::new_vec().start_error(&message, Rcode::FORMERR).finish());
        };
        let name = name(&question);
        let address = match name.as_ref().and_then(|name| self.address(name)) {
            Some(address) => address,
            None => {
                self.notes.refused(unknown(question.qname()));
                match name.as_ref().and_then(|name| self.decoy(name)) {
                    Some(address) => address,
                    None => return begin(&message, Rcode::REFUSED).map(finish),
                }
            }
        };
        let mut answer = begin(&message, Rcode::NOERROR)?;
        // Of everything else that a name may have it has none: no address of IPv6, and no parameters of a service, which
        // could hold addresses, or keys to hide a name with (RFC 9460).
        if question.qtype() == Rtype::A {
            answer.push((question.qname(), Class::IN, ANSWER_LIFE, A::new(address))).ok()?;
        }
        Some(finish(answer))
    }
}

/// The name that is asked for, if it can be one of a host.
fn name(question: &Question<ParsedName<&[u8]>>) -> Option<Name> {
    let labels = question.qname().iter().filter(|label| !label.is_root());
    Name::from_labels(labels.map(|label| label.as_slice())).ok().filter(|_| question.qclass() == Class::IN)
}

type Answer = AnswerBuilder<StaticCompressor<Vec<u8>>>;

fn begin(message: &Message<&[u8]>, code: Rcode) -> Option<Answer> {
    let answer = |builder: MessageBuilder<_>| -> Result<Answer, PushError> {
        let mut answer = builder.start_answer(message, code)?;
        answer.header_mut().set_ra(true);
        Ok(answer)
    };
    MessageBuilder::from_target(StaticCompressor::new(Vec::new()))
        .ok()
        .and_then(|builder| answer(builder).ok())
}

fn finish(answer: Answer) -> Vec<u8> {
    answer.finish().into_target()
}

fn unknown(name: &ParsedName<&[u8]>) -> Attempt {
    Attempt {
        // Some resolvers mix the case at random.
        name: Some(name.to_string().to_ascii_lowercase()),
        address: None,
        port: NAME_SERVER_PORT,
        protocol: Protocol::Lookup,
        verdict: Verdict::Refused(Reason::NotGranted),
        times: 1,
    }
}

#[cfg(test)]
mod tests;

//! Where a container's network is made: before the server, by the porter, in a container that the server then joins.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use casemate_net::egress::Doorway;
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::archive;
use super::engine::Inner;
use super::error::ContainerError;
use super::porter::{CONTROL, ROLE};
use super::wire::{Ask, Wire};
use crate::doorway::take_in;
use crate::message::{Failure, Message, Received, receive_with_descriptors};

/// What it is, in messages.
const WHAT: &str = "the container's network";

/// How long the porter may take.
const OPENING_TIME: Duration = Duration::from_secs(60);

/// What the porter may use: it does nothing but open some sockets.
const MEMORY_BYTES: u64 = 256 << 20;
const TASKS_MAX: u32 = 16;

/// A network that has its doors, and nobody in it but the porter. Dropped, the porter goes.
#[derive(Debug)]
pub(super) struct Porch {
    /// The porter's container.
    pub(super) id: String,
    pub(super) doorway: Doorway,
    _control: UnixStream,
}

/// `POST /containers/create`, and what it has become
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// Makes a request for a container one for a container that shares this network. Its name is then the porter's.
pub(super) fn join(body: &mut Value, porch: &Porch) {
    if let Some(mode) = body.pointer_mut("/HostConfig/NetworkMode") {
        *mode = json!(format!("container:{}", porch.id));
    }
    if let Some(body) = body.as_object_mut() {
        body.remove("Hostname");
    }
}

/// What the porter's container is called, by the name of the server's.
pub(super) fn name(server: &str) -> String {
    format!("{server}-doors")
}

/// Has the doors opened. What was made so far is found by its name when this fails.
pub(super) async fn open(
    inner: &Inner,
    server: &str,
    (ports, labels): (&BTreeSet<u16>, &Value),
) -> Result<Porch, ContainerError> {
    let wire = &inner.wire;
    let image = inner.own_image().await?;
    let place = Place::new(&inner.folder, server).map_err(ContainerError::lost(WHAT))?;
    let body = body(image, &place.path, (ports, labels));
    let create = Ask::post("a container", format!("/containers/create?name={}", name(server)));
    let Created { id } = wire.ask(create.with(&body)).await?;
    check(wire, &id).await?;
    wire.tell(Ask::post("to start the container", format!("/containers/{id}/start"))).await?;
    let wait = Ask::post(WHAT, format!("/containers/{id}/wait"));
    let (control, doorway) = tokio::select! {
        taken = timeout(OPENING_TIME, place.take()) => {
            taken.map_err(ContainerError::lost(WHAT))?.map_err(ContainerError::lost(WHAT))?
        }
        ended = wire.tell_at_leisure(wait) => {
            ended?;
            return Err(ContainerError::lost(WHAT)("its porter ended too early"));
        }
    };
    Ok(Porch { id, doorway, _control: control })
}

/// The porter may change the network that it is in, so that must not be the host's.
async fn check(wire: &Wire, id: &str) -> Result<(), ContainerError> {
    let found: Value = wire.ask(Ask::get("what the container is", format!("/containers/{id}/json"))).await?;
    if found.pointer("/HostConfig/NetworkMode").and_then(Value::as_str) == Some("none") {
        return Ok(());
    }
    Err(ContainerError::Spec {
        what: "its network would not be its own".to_owned(),
        remedy: "use another engine, or a newer version of this one",
    })
}

/// A request for the porter's container (`POST /containers/create`). It runs what is ours, under the engine's usual filter,
/// since ours does not let anybody set up a network.
fn body(image: &str, socket: &Path, (ports, labels): (&BTreeSet<u16>, &Value)) -> Value {
    let command = [ROLE.to_owned()].into_iter().chain(ports.iter().map(u16::to_string));
    json!({
        "Image": image,
        "User": "0:0",
        "Entrypoint": [archive::PROGRAM],
        "Cmd": command.collect::<Vec<_>>(),
        "Labels": labels,
        "Hostname": "cell",
        "HostConfig": {
            "Privileged": false,
            "ReadonlyRootfs": true,
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": "none",
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "Memory": MEMORY_BYTES,
            "PidsLimit": TASKS_MAX,
            "Mounts": [{
                "Type": "bind",
                "Source": socket,
                "Target": CONTROL,
                "BindOptions": { "Propagation": "rprivate" },
            }],
            "LogConfig": { "Type": "none" },
            "RestartPolicy": { "Name": "no" },
        },
    })
}

/// Where casemate waits for the porter.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    listener: UnixListener,
}

impl Place {
    /// In a folder that nobody else may enter. The porter is a root without rights over files, so the socket itself is open
    /// to everybody who gets to it.
    fn new(folder: &Path, server: &str) -> io::Result<Place> {
        // The last part of the name is a number that nobody else has.
        let file = server.rsplit('-').next().unwrap_or(server);
        let path = folder.join(file);
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        // The kernel takes short paths only.
        let open = File::open(folder)?;
        let short = format!("/proc/self/fd/{}/{file}", open.as_raw_fd());
        rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        rustix::net::listen(&socket, 1)?;
        Ok(Place { path, listener: UnixListener::from_std(socket.into())? })
    }

    /// Waits for the porter, and for what it hands over.
    async fn take(&self) -> io::Result<(UnixStream, Doorway)> {
        let (control, _) = self.listener.accept().await?;
        let (received, descriptors) = loop {
            control.readable().await?;
            let taken = control.try_io(Interest::READABLE, || {
                match receive_with_descriptors(&control, RecvFlags::DONTWAIT) {
                    (Received::Nothing, _) => Err(io::ErrorKind::WouldBlock.into()),
                    taken => Ok(taken),
                }
            });
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => break taken?,
            }
        };
        match received {
            Received::Message(Message::Doorway { ports }) => {
                let missing = || io::Error::from_raw_os_error(libc::EMFILE);
                Ok((control, take_in(ports, descriptors).ok_or_else(missing)?))
            }
            Received::Message(Message::Failed(Failure { errno, .. })) => {
                Err(io::Error::from_raw_os_error(errno))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

//! The certificates of the listener, and noticing that they were renewed.

use std::sync::Arc;

use anyhow::Context as _;
use casemate_transport::http::Tls;
use casemate_transport::http::tls::{Reloaded, TlsFiles};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::watch::Watch;
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;

/// Reads the certificates and keys of a start.
pub fn open(files: TlsFiles) -> anyhow::Result<Arc<Tls>> {
    let tls = Tls::open(files).with_context(|| Failure::new(Exit::Configuration, "there can be no HTTPS"))?;
    if tls.validity().is_some_and(|validity| !validity.covers(clock::unix_seconds())) {
        tracing::warn!(file = %tls.files().certificate.display(), "the certificate is not valid at this time");
    }
    Ok(tls)
}

/// Takes renewed files over for as long as the gateway listens.
pub fn follow(tls: &Arc<Tls>, tracker: &TaskTracker, listening: &CancellationToken) {
    let TlsFiles { certificate, key, clients } = tls.files();
    for file in [Some(certificate), Some(key), clients.as_ref().map(|clients| &clients.authorities)] {
        let Some(file) = file else { continue };
        let mut watch = match Watch::start(file) {
            Ok(watch) => watch,
            Err(error) => {
                let file = file.display();
                tracing::warn!(%error, %file, "a change is not noticed by itself; SIGHUP makes it known");
                continue;
            }
        };
        let (tls, listening) = (Arc::clone(tls), listening.clone());
        tracker.spawn(async move {
            let following = async {
                loop {
                    watch.changed().await;
                    reload(&tls);
                }
            };
            listening.run_until_cancelled(following).await
        });
    }
}

/// Takes over what the files say now. Certificate and key are rarely written in one step, so a pair that does not fit yet
/// is no alarm: the one before stays in force.
pub fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(Reloaded::Same) => {}
        Ok(Reloaded::Changed) => tracing::info!("new connections get the new certificate"),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "the certificate before stays in force");
        }
    }
}

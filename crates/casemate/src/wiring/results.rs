//! Results that are too large to be shown at once, in the store's spool.

use std::path::Path;
use std::sync::Arc;

use casemate_gateway::ports::{KeptResult, NotKept, NotThere, ResultId, ResultPart, Results};
use casemate_gateway::upstream::Soon;
use casemate_policy::SubjectId;
use casemate_store::Spool;
use casemate_store::spool::{Parcel, Room, SpoolFault};

use super::nowhere::Nowhere;

/// The spool behind the gateway's port.
#[derive(Debug)]
pub struct Spooled(Arc<Spool>);

impl Spooled {
    /// The spool in this folder. Where there can be none the gateway serves all the same, and large results pass whole.
    pub fn open(folder: &Path) -> Arc<dyn Results> {
        match Spool::open(folder) {
            Ok(spool) => Arc::new(Spooled(Arc::new(spool))),
            Err(fault) => {
                let error = format!("{:#}", anyhow::Error::from(fault));
                tracing::warn!(error, "large results pass whole: there is nowhere to keep them");
                Arc::new(Nowhere)
            }
        }
    }
}

impl Results for Spooled {
    fn keep(&self, result: KeptResult) -> Soon<'_, Result<(), NotKept>> {
        let spool = Arc::clone(&self.0);
        Box::pin(async move {
            let room = Room { owner_max: result.subject_bytes_max, total_max: result.total_bytes_max };
            let parcel = Parcel {
                id: result.id,
                owner: result.subject.as_str().into(),
                label: result.label,
                parts: result.parts,
                until: result.until,
            };
            let kept = tokio::task::spawn_blocking(move || spool.keep(parcel, room)).await;
            match kept {
                Ok(Ok(())) => Ok(()),
                Ok(Err(SpoolFault::NoRoom)) => Err(NotKept::NoRoom),
                Ok(Err(fault)) => Err(NotKept::Failed(format!("{:#}", anyhow::Error::from(fault)))),
                Err(lost) => Err(NotKept::Failed(lost.to_string())),
            }
        })
    }

    fn part<'a>(
        &'a self,
        (id, subject): (ResultId, &'a SubjectId),
        number: usize,
    ) -> Soon<'a, Result<ResultPart, NotThere>> {
        let (spool, owner) = (Arc::clone(&self.0), subject.as_str().to_owned());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || spool.part((&id, &owner), number)).await;
            match read {
                Ok(Ok(part)) => Ok(ResultPart { text: part.text, label: part.label, count: part.count }),
                Ok(Err(SpoolFault::Absent)) => Err(NotThere::Absent),
                Ok(Err(SpoolFault::NoPart { count })) => Err(NotThere::NoPart { count }),
                Ok(Err(fault)) => Err(NotThere::Damaged(fault.to_string())),
                Err(lost) => Err(NotThere::Damaged(lost.to_string())),
            }
        })
    }

    fn retain(&self, stays: &dyn Fn(&SubjectId) -> bool) {
        let removed = self.0.take_out(|owner| stays(&SubjectId::written(owner)));
        if !removed.is_empty() {
            let spool = Arc::clone(&self.0);
            // Nobody waits for it: what was taken out cannot be read any more, deleted or not.
            drop(tokio::task::spawn_blocking(move || spool.delete(&removed)));
        }
    }
}

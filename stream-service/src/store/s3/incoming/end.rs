//! What becomes of an object on its way: acknowledged, named, or dropped.

use super::{
    super::{
        Object,
        client::{Part, S3Error},
    },
    Incoming,
};
use crate::store::{KeptPart, StoreError};
use log::warn;
use std::{mem, time::Instant};

impl Incoming {
    /// `done`: the ledger has what is kept now, and no tail but that one is needed; else it is another request's, which needs
    /// none of ours. Not waited for: what stays behind goes when the object gets its name, or with it.
    pub fn acknowledged(&mut self, done: bool) {
        let mut needless = mem::take(&mut self.made);
        if done {
            let known = mem::replace(&mut self.known, self.kept.tail.clone());
            needless.extend(known);
            needless.retain(|tail| self.kept.tail.as_ref().is_none_or(|kept| kept.name != tail.name));
        }
        for tail in needless {
            let (client, name) = (
                self.store.client().clone(),
                self.store.names().tail(&self.key, &tail.name),
            );
            self.store.client().spawn(async move {
                if let Err(error) = client.delete(&name).await {
                    warn!("{name} stays for now: {error}");
                }
            });
        }
    }

    /// Gives the object its name, durably. Repeating it, here or in another process, is no error.
    pub fn publish(mut self) -> Result<Object, StoreError> {
        if !self.whole {
            let began = Instant::now();
            match self.complete() {
                Ok(()) => {}
                // Of what nobody goes on with there is no other request.
                Err(StoreError::Missing) if !self.temporary && self.appears(began)? => {}
                Err(error) => return Err(error),
            }
            self.upload = None;
        }
        if !self.temporary
            && let Err(error) = self.store.remove_pieces(&self.key)
        {
            warn!(video_id = self.key.video; "Pieces of {} stay until the next sweep: {error}", self.key);
        }
        Ok(Object::new(&self.store, self.name(), self.written))
    }

    /// Whether another request has put the parts together, and what it did is there whole, or will be. Completing may have waited
    /// for it since it `began`.
    fn appears(&self, began: Instant) -> Result<bool, StoreError> {
        let client = self.store.client();
        let left = self.store.appears().saturating_sub(began.elapsed());
        let found = client.wait(client.appears(&self.name(), left))?;
        Ok(found == Some(self.written))
    }

    fn complete(&mut self) -> Result<(), StoreError> {
        self.land(0)?;
        let bytes = mem::take(&mut self.buffer).freeze();
        let (client, name) = (self.store.client().clone(), self.name());
        let Some(upload) = self.upload.clone() else {
            return Ok(client.wait(client.put(&name, bytes))?);
        };
        let mut again = false;
        loop {
            let mut parts: Vec<(u32, Part)> = self.done.iter().map(named).collect();
            if !bytes.is_empty() {
                // Whoever completes this upload sends the same bytes under this number: there can be no others any more.
                let last = self.used + 1;
                parts.push((
                    last,
                    client.wait(client.upload_part(&name, &upload, last, bytes.clone()))?,
                ));
            }
            match client.wait(client.complete(&name, &upload, &parts)) {
                // Another request has just sent the last part too, to a store that tags each sending by itself.
                Err(S3Error::InvalidPart(_)) if !again && !bytes.is_empty() => again = true,
                done => return Ok(done?),
            }
        }
    }

    /// Drops it; what nobody can go on with is gone then.
    pub fn discard(mut self) {
        self.ground();
        if let Some(upload) = self.upload.take().filter(|_| self.temporary) {
            let (client, name) = (self.store.client().clone(), self.name());
            if let Err(error) = client.wait(client.abort(&name, &upload)) {
                warn!(video_id = self.key.video; "The parts of {} stay until the next sweep: {error}", self.key);
            }
        }
    }

    /// Stops what is under way.
    fn ground(&mut self) {
        for flying in self.flying.drain(..) {
            flying.task.abort();
        }
    }
}

/// As completing asks for it.
fn named(KeptPart(number, _, etag, crc32c): &KeptPart) -> (u32, Part) {
    let part = Part {
        etag: etag.clone(),
        crc32c: *crc32c,
    };
    (*number, part)
}

impl Drop for Incoming {
    /// May be on a thread that must not wait.
    fn drop(&mut self) {
        self.ground();
        if let Some(upload) = self.upload.take().filter(|_| self.temporary) {
            let (client, name) = (self.store.client().clone(), self.name());
            self.store.client().spawn(async move {
                if let Err(error) = client.abort(&name, &upload).await {
                    warn!("The parts of {name} stay until the next sweep: {error}");
                }
            });
        }
    }
}

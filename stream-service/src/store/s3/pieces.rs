//! What lies in the bucket: listed for the sweeps, removed for good. Of an object that is being received these are the parts
//! of its multipart upload and its tail; what a killed request left beside them belongs to it too.

use super::{
    client::{Listed, Multipart},
    names::Named,
    place::S3Store,
};
use crate::store::{Found, FoundKind, ObjectKey, StoreError};
use common::ids::{Id, VideoId};
use log::warn;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
};

/// Objects listed of one group per call; what lies beyond is found by a later run.
const MAX_LISTED: usize = 100_000;

/// Looks until nothing is left of what was removed: a part that was just being sent may come there after its upload was aborted.
const ROUNDS: usize = 5;

impl S3Store {
    /// See [`crate::store::Store::groups`].
    pub fn groups(&self) -> Result<Vec<String>, StoreError> {
        let root = self.names().root();
        let mut groups = BTreeSet::new();
        let mut token = None;
        loop {
            let page = self.client().wait(self.client().list(root, "/", token.as_deref()))?;
            groups.extend(page.prefixes);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        // Uploads of which there is no object yet.
        for upload in self.client().wait(self.client().list_multiparts(root))? {
            let path = self.names().path(&upload.key);
            if let Some((group, _)) = path.split_once('/') {
                groups.insert(self.names().group(group));
            }
        }
        let name = |prefix: String| self.names().path(&prefix).trim_end_matches('/').to_owned();
        // Others are none of ours: the bucket may be shared.
        let ours = |group: &String| group.len() == 2;
        Ok(groups.into_iter().map(name).filter(ours).collect())
    }

    /// See [`crate::store::Store::list`].
    pub fn list(&self, group: &str) -> Result<Vec<Found>, StoreError> {
        self.found(&self.names().group(group))
    }

    /// See [`crate::store::Store::list_video`].
    pub fn list_video(&self, video: &VideoId) -> Result<Vec<Found>, StoreError> {
        self.found(&self.names().video(video))
    }

    /// Whole objects each by itself, and what there is of each that is not whole as one thing.
    fn found(&self, prefix: &str) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let mut halves: BTreeMap<String, (ObjectKey, u64, i64)> = BTreeMap::new();
        let mut add = |key: ObjectKey, bytes: u64, at: i64| {
            let half = halves.entry(key.to_string()).or_insert((key, 0, at));
            half.1 += bytes;
            half.2 = half.2.max(at);
        };
        for Listed {
            key,
            bytes,
            modified_ms,
        } in self.objects(prefix)?
        {
            let kind = match self.names().read(&key) {
                Some(Named::Tail(of)) => {
                    add(of, bytes, modified_ms);
                    continue;
                }
                Some(Named::Object(key)) => FoundKind::Object(key),
                Some(Named::Stray) => FoundKind::Stray,
                None => continue,
            };
            let path = PathBuf::from(self.names().path(&key));
            found.push(Found {
                kind,
                path,
                bytes,
                modified_ms,
            });
        }
        for upload in self.client().wait(self.client().list_multiparts(prefix))? {
            let bytes = self.bytes_of(&upload)?;
            match self.names().read(&upload.key) {
                Some(Named::Object(of)) => add(of, bytes, upload.initiated_ms),
                Some(Named::Tail(_) | Named::Stray) => found.push(Found {
                    kind: FoundKind::Stray,
                    path: PathBuf::from(self.names().path(&upload.key)),
                    bytes,
                    modified_ms: upload.initiated_ms,
                }),
                None => {}
            }
        }
        let whole: BTreeSet<String> = found
            .iter()
            .filter_map(|found| match &found.kind {
                FoundKind::Object(key) => Some(key.to_string()),
                _ => None,
            })
            .collect();
        for (name, (key, bytes, modified_ms)) in halves {
            let path = PathBuf::from(self.names().path(&self.names().object(&key)));
            let kind = if whole.contains(&name) {
                FoundKind::Leftover(key)
            } else {
                FoundKind::Part(key)
            };
            found.push(Found {
                kind,
                path,
                bytes,
                modified_ms,
            });
        }
        Ok(found)
    }

    fn objects(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (mut objects, mut token) = (Vec::new(), None);
        loop {
            let page = self.client().wait(self.client().list(prefix, "", token.as_deref()))?;
            objects.extend(page.objects);
            token = page.next;
            if token.is_none() {
                return Ok(objects);
            }
            if objects.len() >= MAX_LISTED {
                warn!("More than {MAX_LISTED} objects below {prefix}: the rest is looked at in a later run");
                return Ok(objects);
            }
        }
    }

    fn bytes_of(&self, upload: &Multipart) -> Result<u64, StoreError> {
        let parts = self.client().wait(self.client().list_parts(&upload.key, &upload.id));
        match parts.map_err(StoreError::from) {
            Ok(parts) => Ok(parts.iter().map(|part| part.bytes).sum()),
            // It has ended since it was listed.
            Err(StoreError::Missing) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// See [`crate::store::Store::size`].
    pub fn size(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        if let Some(bytes) = self.stored_size(key)? {
            return Ok(Some(bytes));
        }
        let found = self.found(&self.names().object(key))?;
        Ok(found.into_iter().find_map(|found| match found.kind {
            FoundKind::Part(part) if part == *key => Some(found.bytes),
            _ => None,
        }))
    }

    pub fn remove(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        self.remove_all(&key.video, std::slice::from_ref(&key.object))
    }

    /// Whether any of them was there. When this is Ok nothing of them is: neither object nor tail nor multipart upload.
    pub fn remove_all(&self, video: &VideoId, objects: &[Id]) -> Result<bool, StoreError> {
        let prefix = match objects {
            [object] => format!("{}{object}", self.names().video(video)),
            _ => self.names().video(video),
        };
        self.empty(&prefix, |named| match named {
            Some(Named::Object(key) | Named::Tail(key)) => objects.contains(&key.object),
            Some(Named::Stray) | None => false,
        })
    }

    /// Removes what is left beside an object that is there whole.
    pub fn remove_pieces(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        let object = self.names().object(key);
        let mut removed = false;
        for upload in self.client().wait(self.client().list_multiparts(&object))? {
            if upload.key == object {
                removed |= self.client().wait(self.client().abort(&object, &upload.id))?;
            }
        }
        Ok(removed | self.empty(&self.names().tails(key), |_| true)?)
    }

    /// See [`crate::store::Store::remove_found`].
    pub fn remove_found(&self, found: &Found) -> Result<bool, StoreError> {
        match &found.kind {
            FoundKind::Object(key) | FoundKind::Part(key) => self.remove(key),
            FoundKind::Leftover(key) => self.remove_pieces(key),
            FoundKind::Stray => {
                let key = format!("{}{}", self.names().root(), found.path.display());
                self.empty(&key, |named| named == Some(Named::Stray))
            }
        }
    }

    /// Removes the objects and uploads below a prefix that are meant, until none of them is there. Whether there was any.
    fn empty(&self, prefix: &str, meant: impl Fn(Option<Named>) -> bool) -> Result<bool, StoreError> {
        let meant = |key: &String| meant(self.names().read(key));
        for round in 0..ROUNDS {
            let uploads = self.client().wait(self.client().list_multiparts(prefix))?;
            let uploads: Vec<Multipart> = uploads.into_iter().filter(|upload| meant(&upload.key)).collect();
            let listed = self.objects(prefix)?.into_iter().map(|listed| listed.key);
            let keys: Vec<String> = listed.filter(meant).collect();
            if uploads.is_empty() && keys.is_empty() {
                return Ok(round > 0);
            }
            for upload in uploads {
                self.client().wait(self.client().abort(&upload.key, &upload.id))?;
            }
            self.client().wait(self.client().delete_all(&keys))?;
        }
        Err(StoreError::Io(io::Error::other(format!(
            "what is below {prefix} does not go away"
        ))))
    }
}

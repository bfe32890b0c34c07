//! A final upload: its parts one after the other become one file, and that a video. The parts are copied, so that until the
//! video is stored nothing of them is lost, whatever happens.

use super::{
    complete::{all_left, complete},
    fields::Concat,
    plan::{Known, Upload},
    receive::{Held, Received, left, save},
};
use crate::{
    limit::conn::Permit,
    state::State,
    store::{ObjectKey, ReadAt, StoreError},
    upload::{
        blocking, finish, keep_alive,
        registry::{Stop, Ticket},
        sink::{Save, Sink},
        stopped, store_error,
    },
};
use common::error::{ApiError, Code};

/// Bytes copied at once.
const PIECE: usize = 256 << 10;

type Readable = Box<dyn ReadAt + Send>;

/// A part that is all here, held so that nobody writes or removes it.
pub struct Part {
    pub key: ObjectKey,
    pub bytes: u64,
    pub ticket: Ticket,
}

/// The bytes of an upload that is to be a part; an error when it isn't one, or isn't all here.
pub fn part_bytes(known: &Known) -> Result<u64, ApiError> {
    match known {
        Known::Nothing => Err(ApiError::not_found("upload among the parts")),
        Known::Gone => Err(ApiError::new(Code::Gone, "A part has ended; send it again.")),
        Known::Is(Upload {
            concat: Some(Concat::Partial),
            offset,
            length,
            ..
        }) if *length == Some(*offset) => Ok(*offset),
        Known::Is(upload) if upload.partial() => Err(ApiError::new(Code::Conflict, "A part is not all here yet.")),
        Known::Is(_) => Err(ApiError::new(
            Code::Conflict,
            "An upload among the parts is not a partial one.",
        )),
    }
}

/// Copies and finishes. It does not end with its client: all bytes are here.
pub async fn join(state: &State, mut held: Held, parts: Vec<Part>, permit: Permit) -> Result<Received, ApiError> {
    let key = held.key.clone();
    let whole = match copy(state, &mut held, &parts).await {
        Ok(sink) => sink,
        Err(error) => {
            // Its client has no address to go on with.
            finish::remove(state, &key).await;
            return Err(error);
        }
    };
    drop(parts);
    let completed = complete(state, held, whole).await;
    drop(permit);
    completed
}

async fn copy(state: &State, held: &mut Held, parts: &[Part]) -> Result<Sink, ApiError> {
    let most = held.upload.length.unwrap_or(0);
    let left = left(state, held, most).await?;
    let mut sink = Sink::resume(state, &held.key, left, most, None).await?;
    let key = held.key.clone();
    let copied = async {
        for part in parts {
            append(state, held, &mut sink, part).await?;
        }
        held.upload.complete = true;
        save(state, held, &mut sink, Save::All).await
    };
    tokio::select! {
        forgotten = keep_alive(state, &key) => Err(forgotten),
        copied = copied => copied,
    }?;
    Ok(sink)
}

async fn append(state: &State, held: &Held, sink: &mut Sink, part: &Part) -> Result<(), ApiError> {
    let (store, key) = (state.store.clone(), part.key.clone());
    let left = all_left(state, &key, part.bytes).await?;
    let mut file = blocking(move || store.open_part(&key, &left))
        .await?
        .map_err(store_error)?;
    let (mut at, mut buffer) = (0, Vec::new());
    while at < part.bytes {
        for ticket in [&held.ticket, &part.ticket] {
            if let Some(stop @ (Stop::SessionEnded | Stop::VideoPurged)) = ticket.stop() {
                return Err(stopped(stop));
            }
        }
        let wanted = usize::try_from(part.bytes - at).map_or(PIECE, |left| left.min(PIECE));
        let read = blocking(move || read_piece(file, buffer, at, wanted)).await?;
        (file, buffer) = read.map_err(|error| store_error(StoreError::of_read(error)))?;
        sink.push(&buffer).await?;
        at += buffer.len() as u64;
    }
    Ok(())
}

/// Fewer bytes than were acknowledged are an error: the part is damaged.
fn read_piece(file: Readable, mut buffer: Vec<u8>, at: u64, wanted: usize) -> std::io::Result<(Readable, Vec<u8>)> {
    buffer.resize(wanted, 0);
    file.read_exact_at(&mut buffer, at)?;
    Ok((file, buffer))
}

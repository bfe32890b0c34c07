//! New uploads: whole ones, parts, and final ones that join parts.

use super::{
    concat::{self, Part},
    fields::Concat,
    plan::{Known, Plan, Upload, decide},
    receive::{Held, Received},
    request::{Body, Create, End, Protocol, Request},
    rows::{self, Uncreated},
    serve::{Asker, append, find, permit, respond, take, take_over},
};
use crate::{
    state::State,
    store::ObjectKey,
    upload::{barred, check_room, on_its_own, source::Raw, too_large},
};
use actix_web::HttpResponse;
use common::{
    db::DbError,
    error::{ApiError, Code},
    ids::Id,
    time::Timestamp,
};

pub async fn begin(state: &State, asker: Asker, asked: Request, body: Raw) -> Result<HttpResponse, ApiError> {
    let terms = asker.terms;
    let plan = decide(terms.protocol, asked, &Known::Nothing, terms.max_bytes)?;
    let status = terms.status(&plan);
    let (key, received, bytes_came) = match plan {
        Plan::Create(create) => {
            let bytes_come = create.body.is_some();
            let (key, received) = self::create(state, asker, create, body).await?;
            (key, received, bytes_come)
        }
        Plan::Join { parts, create } => {
            let (key, received) = join(state, asker, parts, create).await?;
            (key, received, false)
        }
        plan => return Ok(respond(&terms, status, terms.fields(&plan), None)),
    };
    let mut fields = terms.after(&received.upload);
    if !bytes_came && terms.protocol == Protocol::Tus {
        // There the offset of a creation says that it took bytes.
        fields.retain(|(name, _)| *name != "upload-offset");
    }
    fields.push(("location", location(&key)));
    Ok(respond(&terms, status, fields, received.stored))
}

async fn create(state: &State, asker: Asker, create: Create, body: Raw) -> Result<(ObjectKey, Received), ApiError> {
    let most = create.length.unwrap_or(asker.granted.max_bytes);
    let announced = match (create.body, create.length) {
        (Some(announced), _) => Some(announced),
        // Without bytes to wait for it is whole at once.
        (None, Some(0)) if asker.terms.protocol == Protocol::Tus => Some(Body {
            declared: Some(0),
            checksum: None,
            end: End::AtLength,
        }),
        (None, _) => None,
    };
    let permit = announced.is_some().then(|| permit(state, &asker)).transpose()?;
    let expected = create.length.or(announced.as_ref().and_then(|body| body.declared));
    check_room(state, expected.unwrap_or(0)).await?;
    let upload = new_upload(create.length, create.metadata, create.concat);
    let held = insert(state, &asker, upload).await?;
    let key = held.key.clone();
    let told = announced.is_some() && asker.told(&held);
    let (Some(announced), Some(permit)) = (announced, permit) else {
        let upload = held.upload;
        return Ok((key, Received { upload, stored: None }));
    };
    let received = append(state, held, (announced, most, permit), body, told).await?;
    Ok((key, received))
}

async fn join(state: &State, asker: Asker, parts: Vec<Id>, create: Create) -> Result<(ObjectKey, Received), ApiError> {
    let permit = permit(state, &asker)?;
    let (mut held_parts, mut length) = (Vec::new(), 0u64);
    // In one order for everybody: two that name the same parts in different orders would wait for each other.
    let mut ordered = parts.clone();
    ordered.sort_unstable();
    for object in ordered {
        let key = ObjectKey {
            video: asker.granted.video.clone(),
            object,
        };
        // Before anybody is told to stop: another video's upload is none of this grant's business.
        concat::part_bytes(&find(state, &key).await?)?;
        let ticket = take_over(state, &key, &asker.granted.by.session).await?;
        let (_, known) = take(state, &key).await?;
        let bytes = concat::part_bytes(&known)?;
        length = length.saturating_add(bytes);
        held_parts.push(Part { key, bytes, ticket });
    }
    held_parts.sort_by_key(|part| parts.iter().position(|named| *named == part.key.object));
    if length > asker.granted.max_bytes {
        return Err(too_large(asker.granted.max_bytes));
    }
    check_room(state, length).await?;
    let upload = new_upload(Some(length), create.metadata, create.concat);
    let held = insert(state, &asker, upload).await?;
    let (key, task) = (held.key.clone(), state.clone());
    let joined = on_its_own(state, move |_| async move {
        concat::join(&task, held, held_parts, permit).await
    });
    Ok((key, joined.await?))
}

pub fn location(key: &ObjectKey) -> String {
    format!("/uploads/{}", key.object)
}

fn new_upload(length: Option<u64>, metadata: String, concat: Option<Concat>) -> Upload {
    Upload {
        offset: 0,
        length,
        metadata,
        concat,
        complete: false,
        finished: false,
        expires: Timestamp(0),
    }
}

/// The rows of a new upload, held by this request. Its file is made by its first byte.
async fn insert(state: &State, asker: &Asker, mut upload: Upload) -> Result<Held, ApiError> {
    let key = ObjectKey {
        video: asker.granted.video.clone(),
        object: Id::now(),
    };
    let by = asker.granted.by.clone();
    // Registered before the row is written: a row whose upload isn't registered may be dead to the sweeps.
    let ticket = state.uploads.register(&key, &by.session);
    let (row_key, row_by, owner, row) = (key.clone(), by.clone(), state.instance.clone(), upload.clone());
    let keep = state.upload_expiry;
    let holder = Id::now();
    let row_holder = holder.clone();
    let created = state.db.write(move |conn| {
        Ok::<_, DbError>(rows::create(
            conn,
            &row_key,
            &row_by,
            (&owner, &row_holder),
            (&row, keep),
        )?)
    });
    upload.expires = created.await?.map_err(|why| match why {
        Uncreated::Barred(why) => barred(why),
        Uncreated::TooMany => ApiError::new(
            Code::TooManyUploads,
            "This video has too many unfinished uploads; end one of them, or let them expire.",
        )
        .retry_after(keep),
    })?;
    Ok(Held {
        key,
        by,
        holder,
        upload,
        protocol: asker.terms.protocol,
        ticket,
    })
}

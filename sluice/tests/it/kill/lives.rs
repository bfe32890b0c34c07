//! What people do until the process is killed: random operations, each recorded with how it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use super::Shared;
use crate::history::{Life, Upload, Video};
use crate::media::Clip;
use crate::person::{Answer, Cut, Person};

/// Does random things until `until`, or until the process is killed when there is no such moment.
pub async fn live(
    me: usize,
    person: Person,
    history: Shared,
    clips: Arc<Vec<Clip>>,
    mut dice: StdRng,
    until: Option<Instant>,
) {
    while until.is_none_or(|until| Instant::now() < until) {
        let mine: Vec<String> = {
            let history = history.lock().unwrap();
            history
                .videos
                .iter()
                .filter(|(_, video)| video.owner == me && video.life != Life::Purged)
                .map(|(id, _)| id.clone())
                .collect()
        };
        let chosen = (!mine.is_empty()).then(|| mine[dice.random_range(0..mine.len())].clone());
        let done = match (dice.random_range(0..100), chosen) {
            (0..35, _) | (_, None) => create_and_upload(me, &person, &history, &clips, &mut dice).await,
            (35..55, Some(id)) => edit(&person, &history, &id, &mut dice).await,
            (55..70, Some(id)) => comment(&person, &history, &id, &mut dice).await,
            (70..80, Some(id)) => change_life(&person, &history, &id, Change::Trash).await,
            (80..90, Some(id)) => change_life(&person, &history, &id, Change::Restore).await,
            (_, Some(id)) => change_life(&person, &history, &id, Change::Purge).await,
        };
        let mut history = history.lock().unwrap();
        match done {
            Ok(answer) if answer.status < 300 => history.acknowledged += 1,
            Ok(answer) => {
                assert!(answer.status < 500, "{answer:?}");
                history.refused += 1;
            }
            Err(Cut) => {
                history.cut += 1;
                if until.is_none() {
                    return;
                }
            }
        }
    }
}

async fn create_and_upload(
    me: usize,
    person: &Person,
    history: &Shared,
    clips: &[Clip],
    dice: &mut StdRng,
) -> Result<Answer, Cut> {
    let title = format!("Title {}", dice.random::<u32>());
    // A cut creation leaves a video that its owner never heard of; it expires.
    let answer = person
        .try_call(Method::POST, "/api/v1/videos", json!({ "title": title }))
        .await?;
    if answer.status != 201 {
        return Ok(answer);
    }
    let id = answer.body["video"]["id"].as_str().unwrap().to_owned();
    let clip = clips[dice.random_range(0..clips.len())].clone();
    history.lock().unwrap().videos.insert(id.clone(), Video::new(me, title));
    let record = |upload| history.lock().unwrap().videos.get_mut(&id).unwrap().upload = upload;
    record(Upload::Maybe(clip.clone()));
    let piece = dice.random_range(2_000..60_000);
    let pause = Duration::from_millis(dice.random_range(0..4));
    let pieces: Vec<Vec<u8>> = clip.bytes.chunks(piece).map(<[u8]>::to_vec).collect();
    let body = futures_util::stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(pause).await;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    let put = person.put(&answer.body["upload"], reqwest::Body::wrap_stream(body));
    // In chunks, or with a length, which an edge passes on in another way.
    let put = if dice.random() {
        put.header("content-length", clip.bytes.len())
    } else {
        put
    };
    let answer = person.try_change(put).await?;
    match answer.status {
        201 => {
            assert_eq!(answer.body["sha256"], clip.sha256());
            record(Upload::Yes(clip));
        }
        _ => record(Upload::No),
    }
    Ok(answer)
}

async fn edit(person: &Person, history: &Shared, id: &str, dice: &mut StdRng) -> Result<Answer, Cut> {
    let title = format!("Edited {}", dice.random::<u32>());
    history
        .lock()
        .unwrap()
        .videos
        .get_mut(id)
        .unwrap()
        .titles
        .insert(title.clone());
    let answer = person
        .try_call(
            Method::PATCH,
            &format!("/api/v1/videos/{id}"),
            json!({ "title": title }),
        )
        .await?;
    let mut history = history.lock().unwrap();
    let titles = &mut history.videos.get_mut(id).unwrap().titles;
    match answer.status {
        200 => *titles = [title].into(),
        _ => drop(titles.remove(&title)),
    }
    Ok(answer)
}

async fn comment(person: &Person, history: &Shared, id: &str, dice: &mut StdRng) -> Result<Answer, Cut> {
    let text = format!("Comment {}", dice.random::<u32>());
    let answer = person
        .try_call(
            Method::POST,
            &format!("/api/v1/videos/{id}/comments"),
            json!({ "text": text }),
        )
        .await?;
    if answer.status == 201 {
        history
            .lock()
            .unwrap()
            .videos
            .get_mut(id)
            .unwrap()
            .comments
            .insert(text);
    }
    Ok(answer)
}

#[derive(Clone, Copy)]
enum Change {
    Trash,
    Restore,
    Purge,
}

async fn change_life(person: &Person, history: &Shared, id: &str, change: Change) -> Result<Answer, Cut> {
    let before = history.lock().unwrap().videos[id].life;
    let (method, path, unknown, done) = match change {
        Change::Trash => (
            Method::DELETE,
            format!("/api/v1/videos/{id}"),
            Life::AliveOrTrashed,
            Life::Trashed,
        ),
        Change::Restore => (
            Method::POST,
            format!("/api/v1/videos/{id}/restore"),
            Life::AliveOrTrashed,
            Life::Alive,
        ),
        Change::Purge => (
            Method::DELETE,
            format!("/api/v1/videos/{id}?permanent=true"),
            Life::AnyOrPurged,
            Life::Purged,
        ),
    };
    // What a cut deletion for good left open stays open whatever follows.
    let open = before == Life::AnyOrPurged;
    let set = |life| history.lock().unwrap().videos.get_mut(id).unwrap().life = life;
    set(if open { before } else { unknown });
    let answer = person.try_call(method, &path, json!({})).await?;
    set(match answer.status {
        200 | 202 if open && done != Life::Purged => before,
        200 | 202 => done,
        _ => before,
    });
    Ok(answer)
}

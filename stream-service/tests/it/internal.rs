//! What the other services ask: the trash, ledger pages, announcements; and that nobody else may.

use crate::{
    app::{App, SOON, on_each_app},
    clip::clip,
};
use common::{clients::ClientError, ids::VideoId, messages::Visibility, testing::eventually};

#[test]
fn internal_routes_need_the_token_and_are_not_public() {
    on_each_app(|app| async move {
        let path = format!("/internal/media/{}", VideoId::random());
        let bare = app
            .http
            .delete(format!("{}{path}", app.running.internal))
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(bare).await.0, 401);
        let wrong = app
            .http
            .delete(format!("{}{path}", app.running.internal))
            .bearer_auth("x")
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(wrong).await.0, 401);
        let token = common::testing::INTERNAL_TOKEN;
        let public = app
            .http
            .delete(format!("{}{path}", app.running.public))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(public).await.0, 404);
    });
}

#[test]
fn hiding_an_unknown_or_purged_video_is_no_error_and_leaves_no_trace_of_it() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let hide = Visibility {
            hidden: true,
            version: 1,
            min_grant: 0,
        };
        app.client().set_hidden(&video, hide).await.unwrap();
        app.put(&video, clip(5_000, 1)).await;
        assert_eq!(app.get(&video).await.status(), 404, "hidden before it was uploaded");
        app.client().delete_media(&video).await.unwrap();
        app.client()
            .set_hidden(
                &video,
                Visibility {
                    hidden: false,
                    version: 9,
                    min_grant: 0,
                },
            )
            .await
            .unwrap();
        assert_eq!(app.get(&video).await.status(), 404);
    });
}

#[test]
fn the_ledger_is_read_in_pages() {
    on_each_app(|app| async move {
        let mut videos = Vec::new();
        for size in 0..5 {
            videos.push((app.stored(5_000 + size).await.0, 5_000 + size as u64));
        }
        videos.sort();
        app.client()
            .set_hidden(
                &videos[1].0,
                Visibility {
                    hidden: true,
                    version: 1,
                    min_grant: 0,
                },
            )
            .await
            .unwrap();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = app.client().media(after.as_ref(), 2).await.unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let found: Vec<_> = seen.iter().map(|record| (record.id.clone(), record.bytes)).collect();
        assert_eq!(found, videos);
        for (index, record) in seen.iter().enumerate() {
            assert_eq!((record.live, record.hidden, record.objects), (true, index == 1, 1));
        }
        let bad = app
            .http
            .get(format!("{}/internal/media?after=../x", app.running.internal));
        assert_eq!(
            bad.bearer_auth(common::testing::INTERNAL_TOKEN)
                .send()
                .await
                .unwrap()
                .status(),
            400
        );
    });
}

#[test]
fn announcing_tells_api_service_once_more() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        let told = async |times: usize| {
            eventually("told", SOON, || async {
                let told = app
                    .told
                    .lock()
                    .unwrap()
                    .ready
                    .iter()
                    .filter(|(told, _)| *told == video)
                    .count();
                (told == times).then_some(())
            })
            .await;
        };
        told(1).await;
        app.client().announce(&video).await.unwrap();
        told(2).await;
        let refused = app.client().announce(&VideoId::random()).await;
        assert!(
            matches!(refused, Err(ClientError::Refused { status: 404, .. })),
            "{refused:?}"
        );
    });
}

//! Who may go on, and how uploads end: sessions, purges, expiry, another upload that is faster.

use super::client::{Client, create, plays, stalled};
use crate::{
    app::{App, on_each_app, on_each_app_with, upload_grant},
    clip::clip,
    crash::Tmpfs,
};
use common::{
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    messages::Sweep,
};

#[test]
fn a_stranger_knows_nothing_of_an_upload() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 1));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..1000]).await;
        let stranger = Client::new(&app);
        assert_eq!(stranger.head(&upload).await.status(), 404);
        assert_eq!(stranger.patch(&upload, 1000, vec![0; 10]).await.status(), 404);
        assert_eq!(stranger.delete(&upload).await.status(), 404);
        let nobody = Client::with(&app, client.video.clone(), "nonsense".into());
        for method in ["HEAD", "DELETE"] {
            assert_eq!(nobody.request(method, &upload).send().await.unwrap().status(), 401);
        }
        let play = Client::with(&app, client.video.clone(), app.sign(&app.play_grant(&client.video)));
        assert_eq!(play.creation(&[("upload-length", "5000")], None).await.status(), 401);
        assert_eq!(client.offset(&upload).await, 1000);
    });
}

#[test]
fn promise_13_an_ended_session_goes_no_further_and_another_one_goes_on() {
    on_each_app(|app| async move {
        let (video, session, bytes) = (VideoId::random(), Id::now(), clip(900_000, 2));
        let permission = Permission::Upload {
            max_bytes: 1 << 20,
            session: session.clone(),
        };
        let grant = Grant {
            permission,
            ..upload_grant(&video)
        };
        let client = Client::with(&app, video.clone(), app.sign(&grant));
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 500_000).await;
        app.told.lock().unwrap().revoked.insert(session);
        running.answer().await.check_problem(401, "unauthenticated");
        assert_eq!(client.head(&upload).await.status(), 401);
        assert_eq!(client.creation(&[("upload-length", "5")], None).await.status(), 401);
        let again = Client::with(&app, video.clone(), app.upload_token(&video));
        let at = again.offset(&upload).await;
        assert!(at >= 262_144, "what came is kept: {at}");
        again.send(&upload, at, &bytes[at..]).await;
        plays(&app, &again, &bytes).await;
    });
}

#[test]
fn a_purge_ends_uploads_and_its_receipt_counts_their_bytes() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 2));
        let idle = create(&client, &bytes).await;
        client.send(&idle, 0, &bytes[..100_000]).await;
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let receipt = app.client().delete_media(&client.video).await.unwrap();
        running.answer().await.check_problem(410, "gone");
        assert_eq!(receipt.objects, 2);
        assert!(receipt.bytes >= 100_000 && receipt.bytes <= 600_000, "{receipt:?}");
        assert_eq!(client.head(&idle).await.status(), 410);
        assert_eq!(client.creation(&[("upload-length", "5")], None).await.status(), 410);
        app.nothing_is_left().await;
    });
}

#[test]
fn an_unfinished_upload_is_kept_until_it_expires() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 2));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..3000]).await;
        // Silent for longer than any heartbeat, and no sweep touches it.
        app.sql("UPDATE objects SET heartbeat_at = 0").await;
        assert_eq!(
            app.client()
                .expire_uploads(Sweep { dry_run: false })
                .await
                .unwrap()
                .count,
            0
        );
        app.client().reconcile(Sweep { dry_run: false }).await.unwrap();
        assert_eq!(client.offset(&upload).await, 3000);
        app.sql("UPDATE tus_uploads SET expires_at = 1").await;
        assert_eq!(client.head(&upload).await.status(), 410);
        assert_eq!(client.patch(&upload, 3000, vec![0; 10]).await.status(), 410);
        app.sql("UPDATE objects SET heartbeat_at = 0").await;
        assert_eq!(
            app.client()
                .expire_uploads(Sweep { dry_run: false })
                .await
                .unwrap()
                .count,
            1
        );
        app.nothing_is_left().await;
        assert_eq!(
            client.head(&upload).await.status(),
            404,
            "forgotten when it ended long ago"
        );
    });
}

#[test]
fn unfinished_uploads_of_a_video_are_bounded_and_go_with_the_first_that_is_whole() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(5_000, 2));
        let mut uploads = Vec::new();
        for _ in 0..32 {
            uploads.push(create(&client, &bytes).await);
        }
        let more = client.creation(&[("upload-length", "5000")], None).await;
        assert!(more.headers().contains_key("retry-after"));
        assert_eq!(App::problem(more).await.1, "too_many_uploads");
        assert_eq!(client.delete(&uploads[1]).await.status(), 204);
        uploads[1] = create(&client, &bytes).await;
        client.send(&uploads[1], 0, &bytes[..1000]).await;
        client.send(&uploads[0], 0, &bytes).await;
        assert_eq!((app.files().len(), app.rows().await.len()), (1, 1));
        assert_eq!(client.head(&uploads[1]).await.status(), 410);
        let late = client.creation(&[("upload-length", "5000")], None).await;
        assert_eq!(App::problem(late).await.1, "conflict");
        assert_eq!(app.put(&client.video, bytes).await.status(), 409);
    });
}

#[test]
fn promise_5_a_full_disk_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Tmpfs::mount(dir.path(), "2m") else {
        eprintln!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let url = format!("file:{}", dir.path().join("media").display());
    let (url, place) = (&url, dir.path());
    on_each_app_with(
        |config| {
            config.store.url = url.clone();
            config.stream.min_free.0 = 0;
        },
        |app| async move {
            let (client, bytes) = (Client::new(&app), clip(1_000_000, 2));
            let large = client.creation(&[("upload-length", "4000000")], None).await;
            assert_eq!(App::problem(large).await.1, "storage_full");
            let upload = create(&client, &bytes).await;
            client.send(&upload, 0, &bytes[..400_000]).await;
            std::fs::write(place.join("other"), vec![0; 1_400_000]).unwrap();
            let refused = client.patch(&upload, 400_000, bytes[400_000..].to_vec()).await;
            assert_eq!(App::problem(refused).await.1, "storage_full");
            assert_eq!(client.offset(&upload).await, 400_000);
            std::fs::remove_file(place.join("other")).unwrap();
            client.send(&upload, 400_000, &bytes[400_000..]).await;
            plays(&app, &client, &bytes).await;
            app.client().delete_media(&client.video).await.unwrap();
        },
    );
    drop(mount);
}

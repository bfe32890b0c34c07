//! Servers that only take bytes in, without hash, sync, limits or a database: what an upload costs before Sluice does anything with
//! it. `bench raw inline|captured|early WORKERS FOLDER`.
//!
//! `inline` is actix-web's payload, written where it comes. `captured` is what Sluice has in front of it: the body stays in the socket
//! and is spliced into the file, which is left to the kernel as the other servers leave theirs. `early` begins write-back besides, every 8 MiB.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use common::capture::{self, WriteBack};
use common::error::ApiError;
use common::http::resource;
use common::service::Service;
use common::testing::{spawn, test_config};
use futures_util::StreamExt;

/// Longest wait for the next byte.
const STALL: Duration = Duration::from_secs(60);

pub fn serve(arguments: &[String]) {
    let [way, workers, folder] = arguments else {
        panic!("usage: bench raw inline|captured|early WORKERS FOLDER");
    };
    let workers = workers.parse().expect("a number of workers");
    let folder = web::Data::new(PathBuf::from(folder));
    let system = actix_web::rt::System::new();
    match way.as_str() {
        "inline" => system.block_on(inline(workers, folder)),
        "captured" => system.block_on(captured(workers, folder, WriteBack::Kernel)),
        "early" => system.block_on(captured(workers, folder, WriteBack::Early)),
        _ => panic!("`{way}` is none of inline, captured and early"),
    }
}

async fn inline(workers: usize, folder: web::Data<PathBuf>) {
    let server = HttpServer::new(move || App::new().app_data(folder.clone()).default_service(web::to(take)))
        .workers(workers)
        .bind("127.0.0.1:0")
        .expect("a free port");
    println!("http://{}", server.addrs()[0]);
    server.run().await.expect("the server runs");
}

async fn take(
    request: HttpRequest,
    mut payload: web::Payload,
    folder: web::Data<PathBuf>,
) -> actix_web::Result<HttpResponse> {
    let mut file = File::create(place(&request, &folder))?;
    while let Some(piece) = payload.next().await {
        file.write_all(&piece?)?;
    }
    Ok(HttpResponse::Created().finish())
}

async fn captured(workers: usize, folder: web::Data<PathBuf>, write_back: WriteBack) {
    let mut config = test_config();
    config.server.workers = workers;
    let data = tempfile::tempdir().expect("a folder");
    config.server.data_dir = data.path().display().to_string();
    let running = spawn(config, |_, _| async move {
        let routes = move |config: &mut web::ServiceConfig| {
            config.app_data(folder.clone()).app_data(web::Data::new(write_back));
            config.service(resource("/uploads/by-video/{name}").put(splice).done());
        };
        Ok(Service {
            name: "raw",
            public: Some(Arc::new(routes)),
            internal: None,
            upgrades: None,
            direct: None,
            ready: Vec::new(),
        })
    });
    let running = running.await.expect("the server starts");
    println!("{}", running.public);
    // Until it is killed.
    std::future::pending::<()>().await;
}

async fn splice(
    request: HttpRequest,
    folder: web::Data<PathBuf>,
    write_back: web::Data<WriteBack>,
) -> Result<HttpResponse, ApiError> {
    let mut body = capture::take(&request).ok_or_else(|| ApiError::internal("the body was not captured"))?;
    let file = Arc::new(File::create(place(&request, &folder)).map_err(ApiError::internal)?);
    body.move_to_file(&file, 0, STALL, **write_back)
        .await
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::Created().finish())
}

fn place(request: &HttpRequest, folder: &Path) -> PathBuf {
    folder.join(request.path().trim_start_matches('/').replace('/', "-"))
}

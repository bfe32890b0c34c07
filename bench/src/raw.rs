//! A server that only takes bytes in: actix-web's payload, written where it comes, without hash, sync, limits or a database.
//! It tells what an upload costs before Sluice does anything with it. `bench raw WORKERS FOLDER`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::StreamExt;

pub fn serve(arguments: &[String]) {
    let [workers, folder] = arguments else {
        panic!("usage: bench raw WORKERS FOLDER");
    };
    let workers = workers.parse().expect("a number of workers");
    let folder = web::Data::new(PathBuf::from(folder));
    let ran = actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || App::new().app_data(folder.clone()).default_service(web::to(take)))
            .workers(workers)
            .bind("127.0.0.1:0")?;
        println!("http://{}", server.addrs()[0]);
        server.run().await
    });
    ran.expect("the server runs");
}

async fn take(
    request: HttpRequest,
    mut payload: web::Payload,
    folder: web::Data<PathBuf>,
) -> actix_web::Result<HttpResponse> {
    let name = request.path().trim_start_matches('/').replace('/', "-");
    let mut file = File::create(folder.join(name))?;
    while let Some(piece) = payload.next().await {
        file.write_all(&piece?)?;
    }
    Ok(HttpResponse::Created().finish())
}

//! An api-service that knows every session and takes note of nothing: all that an upload asks of it.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use actix_web::{App, HttpResponse, HttpServer, web};

/// Serves on a thread of its own for as long as this process runs.
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    thread::spawn(move || {
        let ran = actix_web::rt::System::new().block_on(async move {
            let app = || {
                App::new()
                    .route("/internal/sessions/check", web::post().to(sessions))
                    .default_service(web::to(noted))
            };
            HttpServer::new(app)
                .workers(1)
                .disable_signals()
                .listen(listener)?
                .run()
                .await
        });
        ran.expect("the server runs");
    });
    address
}

/// The sessions that go on, of those that are asked about.
async fn sessions(list: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(list)
}

async fn noted() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

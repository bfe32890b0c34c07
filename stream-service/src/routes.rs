//! One line per address.

use crate::{
    handlers::{internal, limits, media, tus, uploads},
    state::State,
};
use actix_web::{Resource, http::header::CACHE_CONTROL, middleware::DefaultHeaders, web};
use common::{
    http::{openapi_document, resource, typed_input},
    serve::Configure,
};
use std::sync::Arc;

/// For people, below `/uploads` and `/media`.
pub fn public(state: &State) -> Configure {
    let state = web::Data::new(state.clone());
    Arc::new(move |config: &mut web::ServiceConfig| {
        config
            .service(
                web::scope("/uploads")
                    .app_data(state.clone())
                    .configure(typed_input)
                    .service(
                        resource("/by-video/{video}")
                            .put(uploads::put)
                            .post(uploads::form)
                            .done(),
                    )
                    .service(openapi_document("/openapi.json", &crate::openapi()))
                    // With and without the slash: clients join addresses in both ways.
                    .service(collection(""))
                    .service(collection("/"))
                    .service(
                        web::resource("/{id}")
                            .route(web::head().to(tus::head))
                            .route(web::patch().to(tus::patch))
                            .route(web::delete().to(tus::delete))
                            .default_service(web::to(tus::other)),
                    ),
            )
            .service(
                web::scope("/api/v1/limits")
                    .app_data(state.clone())
                    .configure(typed_input)
                    .service(resource("").get(limits::show).patch(limits::change).done())
                    .wrap(DefaultHeaders::new().add((CACHE_CONTROL, "no-store"))),
            )
            .service(
                web::scope("/media")
                    .app_data(state.clone())
                    .configure(typed_input)
                    .service(resource("/{grant}/{video}/file").get(media::file).done()),
            );
    })
}

/// Other methods are refused by tus itself: each of its answers says the version.
fn collection(path: &str) -> Resource {
    web::resource(path)
        .route(web::post().to(tus::create))
        .default_service(web::to(tus::options))
}

/// For the other services.
pub fn internal(state: &State) -> Configure {
    let state = web::Data::new(state.clone());
    Arc::new(move |config: &mut web::ServiceConfig| {
        let resources = [
            resource("/internal/media").get(internal::page),
            resource("/internal/media/{video}").delete(internal::delete),
            resource("/internal/media/{video}/hidden").put(internal::set_hidden),
            resource("/internal/media/{video}/announce").post(internal::announce),
            resource("/internal/visibilities").post(internal::set_hidden_many),
            resource("/internal/deletions").post(internal::delete_many),
            resource("/internal/uploads/expire").post(internal::expire),
            resource("/internal/reconcile").post(internal::reconcile),
            resource("/internal/scrub").post(internal::scrub),
        ];
        for methods in resources {
            config.service(methods.done().app_data(state.clone()));
        }
    })
}

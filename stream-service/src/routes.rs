//! One line per address.

use crate::{
    handlers::{internal, media, uploads},
    state::State,
};
use actix_web::web;
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
                    .service(openapi_document("/openapi.json", &crate::openapi())),
            )
            .service(
                web::scope("/media")
                    .app_data(state.clone())
                    .configure(typed_input)
                    .service(resource("/{grant}/{video}/file").get(media::file).done()),
            );
    })
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
            resource("/internal/uploads/expire").post(internal::expire),
            resource("/internal/reconcile").post(internal::reconcile),
        ];
        for methods in resources {
            config.service(methods.done().app_data(state.clone()));
        }
    })
}

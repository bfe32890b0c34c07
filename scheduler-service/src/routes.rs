//! The addresses of this service, one line for each endpoint.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::middleware::DefaultHeaders;
use actix_web::web;
use common::http::{openapi_document, resource, typed_input};
use common::serve::Configure;

use crate::handlers::{State, internal as machine, jobs};

/// For operators, at the edge.
pub(crate) fn public(state: &State) -> Configure {
    let state = web::Data::new(state.clone());
    Arc::new(move |config| {
        let scope = web::scope("/api/v1/jobs")
            .app_data(state.clone())
            .configure(typed_input)
            .service(resource("").get(jobs::list).post(jobs::start).done())
            .service(resource("/summary").get(jobs::summary).done())
            .service(openapi_document("/openapi.json", &crate::openapi()))
            .service(resource("/{id}").get(jobs::show).done())
            .service(resource("/{id}/retry").post(jobs::retry).done())
            .service(resource("/{id}/cancel").post(jobs::cancel).done());
        config.service(scope.wrap(DefaultHeaders::new().add((CACHE_CONTROL, "no-store"))));
    })
}

/// For the other services.
pub(crate) fn internal(state: &State) -> Configure {
    let state = web::Data::new(state.clone());
    Arc::new(move |config| {
        let one = resource("/internal/jobs/{kind}/{key}")
            .put(machine::put)
            .delete(machine::delete)
            .done();
        let many = resource("/internal/jobs").post(machine::put_many).done();
        config
            .service(one.app_data(state.clone()))
            .service(many.app_data(state.clone()));
    })
}

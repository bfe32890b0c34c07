//! The description of this service's routes (OpenAPI 3.1), merged with the others' at the edge.

use utoipa::OpenApi;

use crate::handlers::jobs;

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice scheduler-service"),
    paths(jobs::list, jobs::start, jobs::summary, jobs::show, jobs::retry, jobs::cancel),
    components(schemas(crate::jobs::reconcile::Report, common::messages::ScrubReport)),
    tags((name = "jobs", description = "Durable jobs; operators only"))
)]
struct Described;

/// The document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

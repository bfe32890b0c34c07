//! This service's part of the published OpenAPI file.

use crate::{handlers, upload::Stored};
use common::error::{FieldError, Problem};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// The document, for the edge that merges all.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Docs::openapi()
}

#[derive(OpenApi)]
#[openapi(
    paths(
        handlers::uploads::put,
        handlers::uploads::form,
        handlers::tus::options,
        handlers::tus::create,
        handlers::tus::head,
        handlers::tus::patch,
        handlers::tus::delete,
        handlers::media::file,
        handlers::limits::show,
        handlers::limits::change,
    ),
    components(schemas(Stored, Problem, FieldError)),
    tags(
        (name = "uploads", description = "Sending a video"),
        (name = "media", description = "Playing a video"),
        (name = "limits", description = "Who may how much; operators only"),
    ),
    modifiers(&Grants),
)]
struct Docs;

struct Grants;

impl Modify for Grants {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components
            .get_or_insert_with(Default::default)
            .add_security_scheme("uploadGrant", scheme);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_public_address_is_described() {
        let document = serde_json::to_value(super::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths["/uploads/by-video/{videoId}"]["put"].is_object());
        assert!(paths["/uploads/by-video/{videoId}"]["post"].is_object());
        for (path, methods) in [
            ("/uploads", ["options", "post"].as_slice()),
            ("/uploads/{id}", &["head", "patch", "delete"]),
        ] {
            assert!(methods.iter().all(|method| paths[path][method].is_object()), "{path}");
        }
        assert!(paths["/media/{grant}/{videoId}/file"]["get"].is_object());
        let head = &paths["/uploads/{id}"]["head"]["responses"];
        for status in ["200", "204", "400", "401", "404", "410", "412", "415", "429", "503"] {
            assert!(
                head[status].is_object(),
                "shared refusals are in the document: {status}"
            );
        }
        for (method, statuses) in [
            ("get", ["200", "401", "403", "422", "503"].as_slice()),
            ("patch", &["200", "400", "401", "403", "413", "422", "503"]),
        ] {
            let responses = paths["/api/v1/limits"][method]["responses"].as_object().unwrap();
            assert_eq!(responses.keys().collect::<Vec<_>>(), statuses, "{method}");
        }
        assert!(document["components"]["schemas"]["Stored"]["properties"]["sha256"].is_object());
    }
}

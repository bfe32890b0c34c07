//! The OpenAPI document of the public handlers, generated from them. The edge merges it with those of the other services.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use common::error::{PROBLEM_JSON, Problem};
use common::messages::VideoState;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, PathItem, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::handlers::{comments, danmaku, me, rooms, sessions, trash, users, videos};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice", description = "Accounts, sessions, videos, comments, danmaku and the log of what is said."),
    paths(
        users::register, users::profile, me::show, me::change, me::delete, me::change_password, me::my_videos,
        sessions::sign_in, sessions::list, sessions::end, sessions::parse_token,
        videos::create, videos::renew_upload, videos::list, videos::show, videos::change, videos::playback,
        trash::delete, trash::restore, trash::deletion,
        comments::list, comments::create, comments::remove,
        danmaku::list, danmaku::create, danmaku::remove, rooms::events,
        show,
    ),
    components(schemas(Problem, videos::Sort, VideoState)),
    modifiers(&Common),
    security((), ("token" = []), ("cookie" = []))
)]
struct Api;

/// What all operations share: how to sign in, and the form of every failure.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "token",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme(
            "cookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(common::http::SESSION_COOKIE))),
        );
        let problem = ResponseBuilder::new()
            .description("Every failure; `code` names it")
            .content(
                PROBLEM_JSON,
                ContentBuilder::new()
                    .schema(Some(Ref::from_schema_name("Problem")))
                    .build(),
            )
            .build();
        for item in document.paths.paths.values_mut() {
            for (_, operation) in operations_mut(item) {
                operation
                    .responses
                    .responses
                    .insert("default".into(), problem.clone().into());
            }
        }
    }
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The document.
#[must_use]
pub fn openapi() -> Document {
    Api::openapi()
}

/// The text does not change while the process lives.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    openapi()
        .to_json()
        .unwrap_or_else(|error| unreachable!("the document is plain data: {error}"))
});

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "documents",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(TEXT.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let mounted: BTreeSet<(String, String)> = crate::routes::public()
            .iter()
            .flat_map(|(path, methods)| {
                let path = format!("{}{path}", crate::routes::BASE);
                methods
                    .methods()
                    .into_iter()
                    .map(move |method| (path.clone(), method.to_string()))
            })
            .collect();
        let mut document = openapi();
        let described: BTreeSet<(String, String)> = document
            .paths
            .paths
            .iter_mut()
            .flat_map(|(path, item)| operations_mut(item).map(move |(method, _)| (path.clone(), method.to_owned())))
            .collect();
        assert_eq!(mounted, described);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let page = &document["paths"]["/api/v1/videos"]["get"]["responses"]["200"];
        assert!(page["content"]["application/json"]["schema"].is_object(), "{page}");
        assert!(document["paths"]["/api/v1/users/me"]["patch"]["responses"]["default"].is_object());
    }
}

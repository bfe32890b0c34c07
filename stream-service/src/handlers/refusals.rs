//! The refusals that several addresses of uploads share, for the reference: what a description adds names them by a type.

use common::error::{PROBLEM_JSON, Problem};
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident { $($status:literal: $description:literal,)* })*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    [$(($status, $description)),*].into_iter().map(refusal).collect()
                }
            }
        )*
    };
}

fn refusal((status, description): (u16, &str)) -> (String, RefOr<Response>) {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content);
    (status.to_string(), response.build().into())
}

refusals! {
    /// Of every request that needs a grant.
    NeedsGrant {
        401: "No grant, a broken or expired one, or its session has ended",
        429: "Too many requests or uploads; see Retry-After",
        503: "The session can't be checked, or the service stops; see Retry-After",
    }
    /// Of every request for a whole video.
    Whole {
        404: "The grant is for another video",
        409: "The video has its file already",
        410: "The video has been deleted for good",
        413: "Larger than `maxBytes`",
        415: "Not a video that can be played; `found` says what it is",
        507: "The storage is full",
    }
    /// Of every request for an upload that can be continued.
    Resumable {
        400: "A header can't be read, or contradicts another",
        412: "Neither `Tus-Resumable: 1.0.0` nor `Upload-Draft-Interop-Version: 8`",
    }
    /// Of every request that names one.
    Named {
        404: "There is none, or it is another video's",
        410: "It has expired, was ended or refused, or its video is deleted",
    }
    /// Of every request that brings bytes of one.
    Bytes {
        408: "No byte arrived for a while; what came is kept",
        413: "Beyond the length of the upload or `maxBytes`",
        415: "Bytes of another type, or not a video that can be played",
        460: "The checksum differs; none of the bytes is kept",
        507: "The storage is full",
    }
}

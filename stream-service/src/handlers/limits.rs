//! `/api/v1/limits`: operators see which limits are in force and where each comes from, who holds what, who was refused and why,
//! and change limits while the service runs.

use crate::{
    limit::{
        egress::Day,
        rows::{self, instances::Instance},
        settings::Setting,
        sync,
        view::{self, View},
    },
    state::State,
};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use common::{
    db::{AnyConn, DbError, now_ms},
    error::{ApiError, FieldError, Problem},
    http::{Body, operator, session_token},
    messages::TokenOwner,
    operation,
};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// Entries of each list by default, and the most that may be asked for.
const DEFAULT_LISTED: u32 = 50;
const MAX_LISTED: u32 = 1_000;

/// An operator, as api-service knows the token.
pub struct Operator(TokenOwner);

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>().cloned();
        let found = state
            .ok_or_else(|| ApiError::internal("the scope has no state"))
            .and_then(|state| Ok((session_token(request, state.cookie)?, state)));
        Box::pin(async move {
            let (token, state) = found?;
            let owner = operator(&state.platform.clients.api, token, "see and set limits").await?;
            Ok(Operator(owner))
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ViewQuery {
    /// Entries of each list, 1 to 1,000; 50 by default.
    limit: Option<u32>,
}

/// The limits in force, who holds what, and who was refused.
#[utoipa::path(
    get,
    path = "/api/v1/limits",
    tag = "limits",
    params(ViewQuery),
    responses(
        (status = 200, description = "What is held and refused is that of the instance that answers; settings and budgets are everybody's", body = View),
        (status = 401, description = "No session", body = Problem),
        (status = 403, description = "Not an operator", body = Problem),
        (status = 422, description = "`limit` is not 1 to 1,000", body = Problem),
        (status = 503, description = "The database or api-service is away; see Retry-After", body = Problem),
    ),
)]
pub async fn show(
    _: Operator,
    state: web::Data<State>,
    query: web::Query<ViewQuery>,
) -> Result<web::Json<View>, ApiError> {
    let listed = query.limit.unwrap_or(DEFAULT_LISTED);
    if !(1..=MAX_LISTED).contains(&listed) {
        return Err(ApiError::invalid("/limit", format!("1 to {MAX_LISTED}")));
    }
    seen(&state, listed).await
}

/// Changes limits in every copy of the service within two seconds, until they are changed again or given back with `null`.
#[utoipa::path(
    patch,
    path = "/api/v1/limits",
    tag = "limits",
    request_body(content = Object, description = "Settings by name, as `settings` of the view names them: a count, a size (\"2 GiB\" or bytes), or null to give a setting back to the configuration"),
    responses(
        (status = 200, description = "In force", body = View),
        (status = 400, description = "The body is not JSON", body = Problem),
        (status = 401, description = "No session", body = Problem),
        (status = 403, description = "Not an operator", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 422, description = "A name or a value is not one; nothing was changed", body = Problem),
        (status = 503, description = "The database or api-service is away; see Retry-After", body = Problem),
    ),
)]
pub async fn change(
    Operator(who): Operator,
    state: web::Data<State>,
    body: Body<Map<String, Value>>,
) -> Result<web::Json<View>, ApiError> {
    let wanted = read(&body)?;
    let work = set(state.get_ref().clone(), who, wanted);
    // A client that leaves does not take the log's line with it.
    let done = actix_web::rt::spawn(operation::scope(operation::current_or_mint(), work)).await;
    done.unwrap_or_else(|error| Err(ApiError::internal(error)))?;
    seen(&state, DEFAULT_LISTED).await
}

/// Writes it down, says who did it, puts it in force.
async fn set(state: State, who: TokenOwner, wanted: Vec<(Setting, Option<u64>)>) -> Result<(), ApiError> {
    let (rows, by) = (wanted.clone(), who.clone());
    let write = async {
        let written = state.db.write(move |conn| {
            for (setting, value) in rows {
                rows::settings::set(conn, setting, value, &by)?;
            }
            Ok::<_, DbError>(rows::settings::all(conn)?)
        });
        let overrides = written.await?;
        for (setting, value) in wanted {
            let value = value.map_or("the configuration's again".to_owned(), |value| setting.text(value));
            log::info!(
                user_id = who.user, setting = setting.key();
                "Operator {} sets {}: {value}", who.username, setting.key()
            );
        }
        Ok::<_, ApiError>(overrides)
    };
    let changes = state.limits.change(write).await?;
    sync::tell(&changes, &format!("operator {}", who.username));
    Ok(())
}

/// All of it or nothing; every name and value that is wrong is named.
fn read(body: &Map<String, Value>) -> Result<Vec<(Setting, Option<u64>)>, ApiError> {
    let (mut wanted, mut wrong) = (Vec::new(), Vec::new());
    for (name, value) in body {
        let read = match Setting::named(name) {
            Some(setting) => setting.read(value).map(|value| (setting, value)),
            None => Err(format!("is not a limit; there are {}", names())),
        };
        match read {
            Ok(one) => wanted.push(one),
            Err(detail) => wrong.push(FieldError {
                // RFC 6901 section 3.
                pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                detail,
            }),
        }
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid_fields(wrong));
    }
    if wanted.is_empty() {
        return Err(ApiError::invalid("", format!("names no limit; there are {}", names())));
    }
    Ok(wanted)
}

fn names() -> String {
    Setting::ALL.map(Setting::name).join(", ")
}

async fn seen(state: &State, listed: u32) -> Result<web::Json<View>, ApiError> {
    let own = state.instance.to_string();
    let asked = move |conn: &mut AnyConn| -> Result<_, DbError> {
        let now = now_ms(conn)?;
        let day = Day::of(common::time::Timestamp(now));
        let others: Vec<Instance> = rows::instances::others(conn, now, &own)?;
        let top = rows::egress::top(conn, day, i64::from(listed))?;
        Ok((day, others, top))
    };
    let (day, others, top) = state.db.read(asked).await?;
    Ok(web::Json(view::view(state, listed as usize, day, others, top)))
}

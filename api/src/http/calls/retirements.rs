//! `/api/v2/retirements`: plans for deleting records, their simulation, and what an operator runs.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::groups::{ExportSelection, Slice};
use crate::http::question::{body, catalogue, parameters};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_catalogue::removal::{Affected, Dangling, Effects, Limits, List, Refused, Removed};
use zonepulse_central::retirements::alerts::Alert;
use zonepulse_central::retirements::{ExportFormat, Item, NewPlan, Plan, PlanChange, Simulated, Stage};
use zonepulse_central::rights::Caller;
use zonepulse_central::time::text;

/// Maximum size of a body, bytes.
const MAX_BYTES: usize = 4 << 20;

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(simulation))
        .routes(routes!(export))
        .routes(routes!(alerts))
}

/// What changes.
pub fn changing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(create)).routes(routes!(change)).routes(routes!(remove))
}

/// How far a resource got.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StageWord {
    /// It is watched.
    Marked,
    /// Its TTL is low, so that resolvers soon forget it.
    TtlLowered,
    /// It is not in the zone any more.
    Removed,
    /// It is back in the zone.
    Restored,
}

impl From<Stage> for StageWord {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Marked => StageWord::Marked,
            Stage::TtlLowered => StageWord::TtlLowered,
            Stage::Removed => StageWord::Removed,
            Stage::Restored => StageWord::Restored,
        }
    }
}

impl From<StageWord> for Stage {
    fn from(word: StageWord) -> Self {
        match word {
            StageWord::Marked => Stage::Marked,
            StageWord::TtlLowered => Stage::TtlLowered,
            StageWord::Removed => Stage::Removed,
            StageWord::Restored => Stage::Restored,
        }
    }
}

/// A plan for deleting records.
#[derive(Serialize, ToSchema)]
struct PlanBody {
    /// Its id. An id is never used again.
    retirement_id: u32,
    /// What it is called.
    name: String,
    /// What is to be remembered about it.
    note: String,
    /// The zone's id.
    zone_id: u32,
    /// The zone's apex.
    zone: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
    /// Who made it.
    created_by: String,
    /// The TTL that its resources are lowered to at most, seconds.
    lowered_ttl: u32,
    /// Its resources.
    resources: Vec<ItemBody>,
}

/// A resource of a plan.
#[derive(Serialize, ToSchema)]
struct ItemBody {
    /// The resource.
    resource_id: u32,
    /// Its owner.
    host: String,
    /// Its type.
    r#type: String,
    /// The TTL that it had when it was put into the plan, seconds.
    ttl: u32,
    /// How far it got.
    stage: StageWord,
    /// When it was marked.
    #[schema(format = DateTime)]
    marked: String,
    /// When it got there.
    #[schema(format = DateTime)]
    since: String,
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        let item = |item: Item| ItemBody {
            resource_id: item.resource_id,
            host: item.host,
            r#type: item.rtype,
            ttl: item.ttl,
            stage: item.stage.into(),
            marked: text(item.marked_ms),
            since: text(item.stage_ms),
        };
        PlanBody {
            retirement_id: plan.id,
            name: plan.name,
            note: plan.note,
            zone_id: plan.zone_id,
            zone: plan.zone,
            created: text(plan.created_ms),
            created_by: plan.created_by,
            lowered_ttl: plan.lowered_ttl,
            resources: plan.items.into_iter().map(item).collect(),
        }
    }
}

/// A plan to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPlanBody {
    /// What it is called.
    name: String,
    /// What is to be remembered about it.
    #[serde(default)]
    note: String,
    /// The resources, of one zone.
    resource_ids: Vec<u32>,
    /// The TTL that they are lowered to at most, seconds; 60 unless told otherwise.
    lowered_ttl: Option<u32>,
}

/// What is to be different about a plan; what is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanChangeBody {
    /// What it is called.
    name: Option<String>,
    /// What is to be remembered about it.
    note: Option<String>,
    /// Resources that are taken out of it. Those whose TTL is lowered or that are removed must be restored before.
    #[serde(default)]
    remove_resource_ids: Vec<u32>,
    /// Resources of its zone that are put into it as they are now, marked.
    #[serde(default)]
    add_resource_ids: Vec<u32>,
    /// How far its resources got.
    stage: Option<StageWord>,
    /// Which resources the stage is about; all if absent.
    resource_ids: Option<Vec<u32>>,
}

/// A record of a plan that was asked for after it was marked.
#[derive(Serialize, ToSchema)]
struct AlertBody {
    /// The plan.
    retirement_id: u32,
    /// Its name.
    retirement: String,
    /// The zone's apex.
    zone: String,
    /// The resource.
    resource_id: u32,
    /// Its owner.
    host: String,
    /// Its type.
    r#type: String,
    /// How far it got.
    stage: StageWord,
    /// When it was last asked for.
    #[schema(format = DateTime)]
    last_access: String,
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        AlertBody {
            retirement_id: alert.plan_id,
            retirement: alert.plan,
            zone: alert.zone,
            resource_id: alert.resource_id,
            host: alert.host,
            r#type: alert.rtype,
            stage: alert.stage.into(),
            last_access: text(alert.last_access_ms),
        }
    }
}

/// What a plan would change.
#[derive(Serialize, ToSchema)]
struct SimulationBody {
    /// The serial of the zone that it was simulated with.
    #[schema(required)]
    serial: Option<u32>,
    /// RRsets that must not be removed. If there are any, nothing else is worked out.
    refused: ListBody<String>,
    /// The removed RRsets.
    removed: ListBody<RemovedBody>,
    /// The names for which answers change.
    names: ListBody<AffectedBody>,
    /// References that come to point nowhere.
    dangling: ListBody<String>,
    /// How long resolvers remember that there is nothing (RFC 2308), seconds.
    denial_ttl: u32,
    /// Until when resolvers may still answer with old data, seconds.
    forgotten_after_s: u32,
    /// How long an undo takes to reach everyone, seconds.
    undone_after_s: u32,
    /// Resources of the plan that are not in the zone now.
    absent: Vec<u32>,
    /// Resources of the plan that changed since they were put into it: exports stop at them.
    changed: Vec<u32>,
}

/// The first entries of a list, and how many there are.
#[derive(Serialize, ToSchema)]
struct ListBody<T> {
    /// How many there are.
    total: usize,
    /// The first of them.
    first: Vec<T>,
}

/// A removed RRset.
#[derive(Serialize, ToSchema)]
struct RemovedBody {
    /// Its owner.
    host: String,
    /// Its type.
    r#type: String,
    /// What a query for it gets before.
    before: String,
    /// What it gets after.
    after: String,
}

/// A name for which answers change.
#[derive(Serialize, ToSchema)]
struct AffectedBody {
    /// The name.
    name: String,
    /// What happens to it, in words.
    change: String,
    /// A query that shows it.
    example: String,
    /// What that gets before.
    before: String,
    /// What it gets after.
    after: String,
}

fn list_of<T, B>(list: List<T>, body: impl Fn(T) -> B) -> ListBody<B> {
    ListBody { total: list.total, first: list.first.into_iter().map(body).collect() }
}

impl From<Simulated> for SimulationBody {
    fn from(Simulated { serial, effects, absent, changed }: Simulated) -> Self {
        let Effects { refused, removed, names, dangling, denial_ttl_s, forgotten_after_s, undone_after_s } = effects;
        SimulationBody {
            serial,
            refused: list_of(refused, |Refused { owner, rtype, refusal }| format!("{owner} {rtype}: {}", refusal.as_str())),
            removed: list_of(removed, |Removed { owner, rtype, before, after, .. }| RemovedBody {
                host: owner.to_string(),
                r#type: rtype.to_string(),
                before: before.to_string(),
                after: after.to_string(),
            }),
            names: list_of(names, |affected: Affected| AffectedBody {
                change: affected.to_string(),
                example: format!("{} {}", affected.example.0, affected.example.1),
                before: affected.before.to_string(),
                after: affected.after.to_string(),
                name: affected.name.to_string(),
            }),
            dangling: list_of(dangling, |dangling: Dangling| dangling.to_string()),
            denial_ttl: denial_ttl_s,
            forgotten_after_s,
            undone_after_s,
            absent,
            changed,
        }
    }
}

/// List retirement plans
#[utoipa::path(
    get, path = "/api/v2/retirements", operation_id = "retirements", tag = "Retirement",
    params(Slice),
    responses((status = 200, description = "The plans, by id.", body = Vec<PlanBody>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let rows = blocking(move || app.central().retirements().list()).await?;
    Ok(listing::page(rows.into_iter().map(PlanBody::from).collect(), &page, &uri))
}

/// Read a retirement plan
#[utoipa::path(
    get, path = "/api/v2/retirements/{retirement_id}", operation_id = "retirement", tag = "Retirement",
    params(("retirement_id" = u32, Path, description = "The plan.", minimum = 1)),
    responses(
        (status = 200, description = "The plan.", body = PlanBody),
        (status = 404, description = "There is no such plan.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Json<PlanBody>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("retirement_id", path)?;
    Ok(Json(blocking(move || app.central().retirements().find(id)).await?.into()))
}

/// Make a retirement plan
///
/// Of RRsets of one zone, as they are now. They are marked: whoever asks for one of them from now on raises an alert. Nothing
/// is changed in the zone.
#[utoipa::path(
    post, path = "/api/v2/retirements", operation_id = "create_retirement", tag = "Retirement",
    request_body(content = NewPlanBody, description = "The plan."),
    responses((status = 201, description = "The plan.", body = PlanBody, headers(("Location" = String, description = "Where the plan is.")))),
)]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let new: NewPlanBody = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let NewPlanBody { name, note, resource_ids, lowered_ttl } = new;
    let new = NewPlan { name, note, resource_ids, lowered_ttl };
    let plan = blocking(move || app.central().retirements().create(&caller, new)).await?;
    let location = format!("/api/v2/retirements/{}", plan.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(PlanBody::from(plan))).into_response())
}

/// Change a retirement plan
///
/// Or say how far its resources got: `marked`, `ttl_lowered`, `removed`, `restored`. The zone is not changed by that: run what
/// the plan exports.
#[utoipa::path(
    patch, path = "/api/v2/retirements/{retirement_id}", operation_id = "change_retirement", tag = "Retirement",
    params(("retirement_id" = u32, Path, description = "The plan.", minimum = 1)),
    request_body(content = PlanChangeBody, description = "What is to be different."),
    responses(
        (status = 200, description = "The plan as it is now.", body = PlanBody),
        (status = 404, description = "There is no such plan.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PlanBody>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("retirement_id", path)?;
    let change: PlanChangeBody = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let PlanChangeBody { name, note, remove_resource_ids, add_resource_ids, stage, resource_ids } = change;
    let change = PlanChange { name, note, remove_resource_ids, add_resource_ids, stage: stage.map(Stage::from), resource_ids };
    Ok(Json(blocking(move || app.central().retirements().change(&caller, id, change)).await?.into()))
}

/// Remove a retirement plan
///
/// Its resources are not watched any more. The zone is not changed.
#[utoipa::path(
    delete, path = "/api/v2/retirements/{retirement_id}", operation_id = "remove_retirement", tag = "Retirement",
    params(("retirement_id" = u32, Path, description = "The plan.", minimum = 1)),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such plan.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("retirement_id", path)?;
    blocking(move || app.central().retirements().remove(&caller, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Simulate a retirement plan
///
/// What clients get before and after all its resources are removed together, from the zone as it is.
#[utoipa::path(
    get, path = "/api/v2/retirements/{retirement_id}/simulation", operation_id = "simulate_retirement", tag = "Retirement",
    params(("retirement_id" = u32, Path, description = "The plan.", minimum = 1)),
    responses(
        (status = 200, description = "What changes.", body = SimulationBody),
        (status = 404, description = "There is no such plan, or no such zone any more.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn simulation(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<SimulationBody>, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("retirement_id", path)?;
    Ok(Json(blocking(move || app.central().retirements().simulate(id, Limits::default())).await?.into()))
}

/// Export a retirement plan
///
/// What brings its resources to a stage, or, with `undo=true`, back from it. Every script checks first that the zone has the
/// values of the plan, and changes nothing if it has others.
#[utoipa::path(
    get, path = "/api/v2/retirements/{retirement_id}/export", operation_id = "export_retirement", tag = "Retirement",
    params(
        ("retirement_id" = u32, Path, description = "The plan.", minimum = 1),
        ExportSelection,
    ),
    responses(
        (status = 200, description = "The script or list.", body = String, content_type = "text/plain"),
        (status = 404, description = "There is no such plan.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn export(State(app): State<App>, path: Result<Path<String>, PathRejection>, uri: Uri) -> Result<Response, Problem> {
    let id = parameters::id("retirement_id", path)?;
    let ExportSelection { format, stage, undo, server } = catalogue::export(&uri)?;
    let exported = blocking(move || app.central().retirements().export(id, format, stage, server)).await?;
    let body = match (undo, exported.undo) {
        (false, _) => exported.apply,
        (true, Some(undo)) => undo,
        (true, None) => return Err(Problem::parameter("undo", "a list has no way back")),
    };
    let media_type =
        if format == ExportFormat::Csv { "text/csv; charset=utf-8; header=present" } else { "text/plain; charset=utf-8" };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response())
}

/// List alerts
///
/// Records of plans that were asked for after they were marked.
#[utoipa::path(
    get, path = "/api/v2/retirements/alerts", operation_id = "retirement_alerts", tag = "Retirement",
    params(Slice),
    responses((status = 200, description = "The alerts.", body = Vec<AlertBody>)),
)]
async fn alerts(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let rows = blocking(move || app.central().alerts()).await?;
    Ok(listing::page(rows.into_iter().map(AlertBody::from).collect(), &page, &uri))
}

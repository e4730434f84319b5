//! `GET /api/v2/monitoring/pvips`: the addresses at which probes can reach this central.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::groups::Slice;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::addresses;

/// The route, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// An address at which probes can reach this central.
#[derive(Serialize, ToSchema)]
struct AddressRow {
    /// The address.
    #[schema(example = "https://192.0.2.1:8053")]
    url: String,
    /// Whether it comes from the configuration, or is an address of this machine on which the central listens.
    source: Source,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    Configuration,
    Interface,
}

impl From<addresses::Address> for AddressRow {
    fn from(addresses::Address { url, source }: addresses::Address) -> Self {
        let source = match source {
            addresses::Source::Configuration => Source::Configuration,
            addresses::Source::Interface => Source::Interface,
        };
        AddressRow { url, source }
    }
}

/// List the central's addresses
///
/// Where probes can reach this central: the configured addresses, and those of this machine's interfaces on which it
/// listens.
#[utoipa::path(
    get, path = "/api/v2/monitoring/pvips", operation_id = "pvips", tag = "Monitoring",
    params(Slice),
    responses((status = 200, description = "The addresses.", body = Vec<AddressRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let found = blocking(move || Ok::<_, Problem>(app.central().addresses().all())).await?;
    Ok(listing::page(found.into_iter().map(AddressRow::from).collect(), &page, &uri))
}

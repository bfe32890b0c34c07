//! Calls to scheduler-service.

use reqwest::Method;

use super::{ClientError, Endpoint};
use crate::messages::batch::{Call, Done};
use crate::messages::{JobRequest, NamedJob};

#[derive(Clone)]
pub struct SchedulerClient(pub(super) Endpoint);

impl SchedulerClient {
    /// Makes sure that the job exists and is due at its time.
    pub async fn put_job(&self, kind: &str, key: &str, job: &JobRequest) -> Result<(), ClientError> {
        self.0
            .tell(
                self.0
                    .request(Method::PUT, &format!("/internal/jobs/{kind}/{key}"))
                    .json(job),
            )
            .await
    }

    /// [`SchedulerClient::put_job`] of many jobs.
    pub async fn put_jobs(&self, calls: Vec<Call<NamedJob>>) -> Result<Vec<Result<Done, ClientError>>, ClientError> {
        self.0.carry("/internal/jobs", calls).await
    }

    /// Makes sure that the job does not run, unless it runs already.
    pub async fn delete_job(&self, kind: &str, key: &str) -> Result<(), ClientError> {
        self.0
            .tell(self.0.request(Method::DELETE, &format!("/internal/jobs/{kind}/{key}")))
            .await
    }
}

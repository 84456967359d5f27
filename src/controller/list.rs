//! Asks the API server for lists of objects, and reads them item by item.

use std::pin::Pin;

use futures::{AsyncBufRead, AsyncBufReadExt};
use kube::{
    Client, Resource,
    api::{ApiResource, DynamicObject, ListParams, WatchParams},
    core::{Request, request},
};
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::split::{self, Item};

/// Objects that are listed with one request.
const PAGE: u32 = 100;

/// Why a list or a watch failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not give what was asked for.
    #[error("{0}")]
    Refused(#[from] kube::Error),
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// It ended the watch with an error.
    #[error("the API server ended the watch: {0}")]
    Ended(String),
    /// What came is no list.
    #[error("the answer is no list of objects: {0}")]
    NoList(String),
}

impl From<request::Error> for Error {
    fn from(error: request::Error) -> Self {
        Self::Refused(kube::Error::BuildRequest(error))
    }
}

impl From<Error> for kube::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(error) => error,
            other => Self::Service(Box::new(other)),
        }
    }
}

impl Error {
    /// The version to go on from is too old.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Self::Refused(kube::Error::Api(status)) if status.code == 410)
    }
}

/// Which objects are asked for, and how much of each.
#[derive(Clone)]
pub struct Query {
    /// Their kind.
    pub resource: ApiResource,
    /// Where; everywhere if there is none.
    pub namespace: Option<String>,
    /// Metadata is all that is wanted of each.
    pub metadata_only: bool,
    /// Which labels they have.
    pub labels: Option<String>,
    /// Which fields they have.
    pub fields: Option<String>,
}

impl Query {
    /// All objects of a kind.
    pub fn all(resource: ApiResource) -> Self {
        Self {
            resource,
            namespace: None,
            metadata_only: false,
            labels: None,
            fields: None,
        }
    }

    fn request(&self) -> Request {
        Request::new(DynamicObject::url_path(&self.resource, self.namespace.as_deref()))
    }

    fn page(&self, token: Option<&str>) -> Result<http::Request<Vec<u8>>, Error> {
        let params = ListParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            limit: Some(PAGE),
            continue_token: token.map(str::to_owned),
            ..ListParams::default()
        };
        let request = if self.metadata_only {
            self.request().list_metadata(&params)
        } else {
            self.request().list(&params)
        };
        Ok(request?)
    }

    pub(super) fn watch(&self, version: &str, longest: u32) -> Result<http::Request<Vec<u8>>, Error> {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            timeout: Some(longest),
            ..WatchParams::default()
        };
        let request = if self.metadata_only {
            self.request().watch_metadata(&params, version)
        } else {
            self.request().watch(&params, version)
        };
        let mut request = request?;
        // Of a watch that is compressed the middleware reads the first event only.
        let plain = http::HeaderValue::from_static("identity");
        request.headers_mut().insert(http::header::ACCEPT_ENCODING, plain);
        Ok(request)
    }
}

/// Large items that may come in at once, of all lists and watches: each takes megabytes.
static LARGE: Semaphore = Semaphore::const_new(2);

/// The right to let a large item come in, until it has been read.
pub(super) type Large = Option<SemaphorePermit<'static>>;

/// Waits for that right, once.
pub(super) async fn turn(large: &mut Large) {
    if large.is_none() {
        // It is never closed.
        *large = LARGE.acquire().await.ok();
    }
}

/// An answer that comes in.
pub(super) type Bytes = Pin<Box<dyn AsyncBufRead + Send>>;

/// Asks, and waits until the answer begins.
pub(super) async fn open(client: &Client, request: http::Request<Vec<u8>>) -> Result<Bytes, Error> {
    Ok(Box::pin(client.request_stream(request).await?))
}

/// A list, read page by page and item by item.
pub struct Items {
    client: Client,
    query: Query,
    page: Option<(Bytes, split::List)>,
    token: Option<String>,
    version: Option<String>,
    large: Large,
}

impl Items {
    /// Nothing is asked yet.
    pub fn new(client: Client, query: Query) -> Self {
        Self {
            client,
            query,
            page: None,
            token: None,
            version: None,
            large: None,
        }
    }

    /// Version of the list, once it has ended.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The next item; none after the last one.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        // The one before has been read.
        self.large = None;
        loop {
            let Some((bytes, list)) = &mut self.page else {
                if self.version.is_some() {
                    return Ok(None);
                }
                let bytes = open(&self.client, self.query.page(self.token.as_deref())?).await?;
                self.page = Some((bytes, split::List::default()));
                continue;
            };
            let chunk = bytes.fill_buf().await?;
            if chunk.is_empty() {
                self.turn_page()?;
                continue;
            }
            let (taken, item) = list.take(chunk);
            bytes.as_mut().consume(taken);
            if item.is_some() {
                return Ok(item);
            }
            if list.is_large() {
                turn(&mut self.large).await;
            }
        }
    }

    /// Takes an item's buffer back, to be filled again.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        if let Some((_, list)) = &mut self.page {
            list.give_back(buffer);
        }
    }

    fn turn_page(&mut self) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Page {
            metadata: About,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct About {
            #[serde(rename = "continue")]
            token: Option<String>,
            resource_version: Option<String>,
        }
        let Some((_, list)) = self.page.take() else {
            return Ok(());
        };
        let read: Result<Page, _> = serde_json::from_slice(list.around());
        let Page { metadata } = read.map_err(|error| Error::NoList(error.to_string()))?;
        self.token = metadata.token.filter(|token| !token.is_empty());
        if self.token.is_none() {
            self.version = Some(metadata.resource_version.unwrap_or_default());
        }
        Ok(())
    }
}

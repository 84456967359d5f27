//! Reading products: the cache first, then the database, then filling the cache.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use deadpool_postgres::{Manager, Pool, Runtime};
use redis::{
    AsyncCommands,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use crate::{breaker::Breaker, config::Config, metrics::Metrics};

/// Connections to the database of one pod.
const POOL: usize = 8;
/// How long the start waits for the connection to the cache, so that the first lookups do not fail for lack of one.
const CACHE_START: Duration = Duration::from_secs(1);
/// Any number, the same in all pods: only one of them fills the table.
const SEED_LOCK: i64 = 7_317;

/// One read of the database, for all who want its answer.
type Flight = OnceCell<Result<Option<String>, String>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cache and the database.
pub struct Store {
    database: Pool,
    cache: ConnectionManager,
    /// Reads under way: whoever wants the same product waits for the same answer.
    flights: Mutex<HashMap<i32, Weak<Flight>>>,
    breaker: Mutex<Breaker>,
    cache_timeout: Duration,
    database_timeout: Duration,
    ttl: u64,
    prefix: String,
    fill: bool,
}

impl Store {
    /// Waits for the database and fills the table if it is empty.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let pool = Pool::builder(Manager::new(config.database()?, NoTls)).max_size(POOL);
        let database = pool
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(config.database_timeout))
            .create_timeout(Some(config.database_timeout))
            .recycle_timeout(Some(config.database_timeout))
            .build()
            .context("making the pool")?;
        let mut client = None;
        for _ in 0..120 {
            match database.get().await {
                Ok(found) => {
                    client = Some(found);
                    break;
                }
                Err(error) => eprintln!("waiting for the database of DATABASE_URL: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut client = client.context("the database of DATABASE_URL did not answer within a minute: check that it runs and that its name resolves")?;
        let seed = client.transaction().await?;
        seed.execute("select pg_advisory_xact_lock($1)", &[&SEED_LOCK]).await?;
        seed.batch_execute(
            "create table if not exists products (id int primary key, name text not null, price_cents int not null)",
        )
        .await?;
        let there: i64 = seed.query_one("select count(*) from products", &[]).await?.get(0);
        if there < i64::from(config.products) {
            let fill = "insert into products select n, 'Product ' || n, (n * 37) % 10000 + 99 from generate_series(1, $1::int) n on conflict do nothing";
            seed.execute(fill, &[&config.products]).await?;
        }
        seed.commit().await?;
        drop(client);
        let prefix = if config.fault_cache_never_filled {
            format!("{}:never-filled", config.cache_key_prefix)
        } else {
            config.cache_key_prefix.clone()
        };
        let cache = config
            .cache()?
            .get_connection_manager_lazy(ConnectionManagerConfig::new())
            .context("preparing the cache's connection")?;
        let mut first = cache.clone();
        if !matches!(tokio::time::timeout(CACHE_START, first.ping::<()>()).await, Ok(Ok(()))) {
            eprintln!("the cache of REDIS_URL does not answer: the database is asked until it does");
        }
        Ok(Self {
            database,
            cache,
            flights: Mutex::default(),
            breaker: Mutex::default(),
            cache_timeout: config.cache_timeout,
            database_timeout: config.database_timeout,
            ttl: config.cache_ttl.as_secs(),
            prefix,
            fill: !config.fault_cache_never_filled,
        })
    }

    /// A product as JSON.
    pub async fn product(&self, id: i32, metrics: &Metrics) -> anyhow::Result<Option<String>> {
        let key = format!("{}:product:{id}", self.prefix);
        if !lock(&self.breaker).allows(Instant::now()) {
            metrics.lookup("bypass");
            metrics.fallback();
            return self.read(id, "other", metrics).await;
        }
        let started = Instant::now();
        let found = tokio::time::timeout(self.cache_timeout, self.lookup(&key)).await;
        metrics.operation(started.elapsed());
        match found {
            Ok(Ok(Some(product))) => {
                lock(&self.breaker).succeeded();
                metrics.lookup("hit");
                return Ok(Some(product));
            }
            Ok(Ok(None)) => {
                lock(&self.breaker).succeeded();
                metrics.lookup("miss");
            }
            Ok(Err(_)) | Err(_) => {
                lock(&self.breaker).failed(Instant::now());
                metrics.lookup("error");
                metrics.fallback();
                return self.read(id, "other", metrics).await;
            }
        }
        let product = self.read(id, "miss", metrics).await?;
        if let Some(product) = product.as_ref().filter(|_| self.fill) {
            let started = Instant::now();
            let stored = tokio::time::timeout(self.cache_timeout, self.store(&key, product)).await;
            metrics.operation(started.elapsed());
            // A cache that cannot be filled costs only the next reader a miss, but it counts against the cache.
            if !matches!(stored, Ok(Ok(()))) {
                lock(&self.breaker).failed(Instant::now());
            }
        }
        Ok(product)
    }

    async fn lookup(&self, key: &str) -> redis::RedisResult<Option<String>> {
        self.cache.clone().get(key).await
    }

    async fn store(&self, key: &str, product: &str) -> redis::RedisResult<()> {
        self.cache.clone().set_ex(key, product, self.ttl).await
    }

    /// Reads the database, or waits for the answer to someone who reads the same product.
    async fn read(&self, id: i32, reason: &'static str, metrics: &Metrics) -> anyhow::Result<Option<String>> {
        let flight = {
            let mut flights = lock(&self.flights);
            flights.get(&id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let flight = Arc::new(Flight::new());
                flights.insert(id, Arc::downgrade(&flight));
                flight
            })
        };
        let answer = flight
            .get_or_init(|| async {
                metrics.origin(reason);
                match tokio::time::timeout(self.database_timeout, self.query(id)).await {
                    Ok(answer) => answer.map_err(|error| format!("{error:#}")),
                    Err(_) => Err(format!(
                        "the database did not answer within {:?}",
                        self.database_timeout
                    )),
                }
            })
            .await
            .clone();
        drop(flight);
        let mut flights = lock(&self.flights);
        if flights.get(&id).is_some_and(|flight| flight.strong_count() == 0) {
            flights.remove(&id);
        }
        answer.map_err(anyhow::Error::msg)
    }

    async fn query(&self, id: i32) -> anyhow::Result<Option<String>> {
        let client = self.database.get().await?;
        let statement = client
            .prepare_cached("select id, name, price_cents from products where id = $1")
            .await?;
        let row = client.query_opt(&statement, &[&id]).await?;
        Ok(row.map(|row| {
            let (id, name, price): (i32, String, i32) = (row.get(0), row.get(1), row.get(2));
            serde_json::json!({"id": id, "name": name, "priceCents": price}).to_string()
        }))
    }
}

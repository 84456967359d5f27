//! Reading products: the cache first, then the database, then filling the cache.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use deadpool_postgres::{Manager, Pool};
use redis::{AsyncCommands, aio::ConnectionManager};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

use crate::{breaker::Breaker, config::Config, metrics::Metrics};

/// A cache slower than this is worse than the database.
const CACHE_LIMIT: Duration = Duration::from_millis(50);
/// Connections to the database of one pod.
const POOL: usize = 8;
/// Any number, the same in all pods: only one of them fills the table.
const SEED_LOCK: i64 = 7_317;

/// The cache and the database.
pub struct Store {
    database: Pool,
    redis: redis::Client,
    cache: OnceCell<ConnectionManager>,
    breaker: Mutex<Breaker>,
    ttl: u64,
    prefix: String,
    fill: bool,
}

impl Store {
    /// Waits for the database and fills the table if it is empty.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let settings = config.database_url.parse().context("DATABASE_URL")?;
        let database = Pool::builder(Manager::new(settings, NoTls)).max_size(POOL).build().context("making the pool")?;
        let mut client = None;
        for _ in 0..120 {
            match database.get().await {
                Ok(found) => {
                    client = Some(found);
                    break;
                }
                Err(error) => eprintln!("waiting for the database: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut client = client.context("the database did not answer within a minute")?;
        let seed = client.transaction().await?;
        seed.execute("select pg_advisory_xact_lock($1)", &[&SEED_LOCK]).await?;
        seed.batch_execute("create table if not exists products (id int primary key, name text not null, price_cents int not null)").await?;
        let fill = "insert into products select n, 'Product ' || n, (n * 37) % 10000 + 99 from generate_series(1, $1::int) n on conflict do nothing";
        seed.execute(fill, &[&config.products]).await?;
        seed.commit().await?;
        drop(client);
        let prefix = if config.fault_cache_never_filled { format!("never:{}", config.version) } else { config.cache_key_prefix.clone() };
        Ok(Self {
            database,
            redis: redis::Client::open(config.redis_url.as_str()).context("REDIS_URL")?,
            cache: OnceCell::new(),
            breaker: Mutex::default(),
            ttl: config.cache_ttl_seconds,
            prefix,
            fill: !config.fault_cache_never_filled,
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> anyhow::Result<()> {
        self.database.get().await?.execute("select 1", &[]).await?;
        Ok(())
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A product as JSON.
    pub async fn product(&self, id: i32, metrics: &Metrics) -> anyhow::Result<Option<String>> {
        let key = format!("{}:product:{id}", self.prefix);
        if !self.breaker().allows(Instant::now()) {
            metrics.lookup("bypass");
            metrics.fallback();
            return self.from_database(id, "other", metrics).await;
        }
        let started = Instant::now();
        let found = tokio::time::timeout(CACHE_LIMIT, self.lookup(&key)).await;
        metrics.operation(started.elapsed());
        match found {
            Ok(Ok(Some(product))) => {
                self.breaker().succeeded();
                metrics.lookup("hit");
                return Ok(Some(product));
            }
            Ok(Ok(None)) => {
                self.breaker().succeeded();
                metrics.lookup("miss");
            }
            Ok(Err(_)) | Err(_) => {
                self.breaker().failed(Instant::now());
                metrics.lookup("error");
                metrics.fallback();
                return self.from_database(id, "other", metrics).await;
            }
        }
        let product = self.from_database(id, "miss", metrics).await?;
        if let Some(product) = product.as_ref().filter(|_| self.fill) {
            // A cache that cannot be filled costs only the next reader a miss.
            let _ = tokio::time::timeout(CACHE_LIMIT, self.store(&key, product)).await;
        }
        Ok(product)
    }

    async fn cache(&self) -> redis::RedisResult<ConnectionManager> {
        self.cache.get_or_try_init(|| self.redis.get_connection_manager()).await.cloned()
    }

    async fn lookup(&self, key: &str) -> redis::RedisResult<Option<String>> {
        self.cache().await?.get(key).await
    }

    async fn store(&self, key: &str, product: &str) -> redis::RedisResult<()> {
        self.cache().await?.set_ex(key, product, self.ttl).await
    }

    async fn from_database(&self, id: i32, reason: &'static str, metrics: &Metrics) -> anyhow::Result<Option<String>> {
        metrics.origin(reason);
        let client = self.database.get().await?;
        let row = client.query_opt("select id, name, price_cents from products where id = $1", &[&id]).await?;
        Ok(row.map(|row| {
            let (id, name, price): (i32, String, i32) = (row.get(0), row.get(1), row.get(2));
            serde_json::json!({"id": id, "name": name, "priceCents": price}).to_string()
        }))
    }
}

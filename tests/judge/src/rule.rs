//! What decides a release: the engine's judge, or what another tool does.

use warmfront::engine::judge::tick::Tick;

/// What is done after a tick.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// The weight stays.
    Stay,
    /// The weight rises to this share.
    Rise(f64),
    /// The weight falls to this share, and the release goes on.
    StepBack(f64),
    /// All traffic goes back, for this reason.
    RollBack(String),
    /// The new version is the stable one.
    Promote,
}

/// What a rule says of a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What is done.
    pub order: Order,
    /// Why the release is paused, while it is.
    pub pause: Option<String>,
    /// What the weight waits for.
    pub cause: Option<String>,
    /// The message.
    pub says: String,
}

impl Said {
    /// Only this.
    pub fn only(order: Order) -> Self {
        Self {
            order,
            pause: None,
            cause: None,
            says: String::new(),
        }
    }
}

/// Something that is told ticks and decides.
pub trait Rule {
    /// After a tick, the pre-run's included.
    fn after(&mut self, tick: &Tick) -> Said;
}

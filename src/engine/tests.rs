//! Tables, properties and short releases for the engine.

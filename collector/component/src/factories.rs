//! Factories: what all of them say in the same way, once.
//!
//! [`factory!`](crate::factory!) defines a factory but for how it creates; the macros named for a kind define all of it, with
//! `create` as a function of the settings:
//!
//! ```ignore
//! phoenix_component::processor_factory! {
//!     /// Makes `batch` processors.
//!     BatchFactory: "batch", BatchConfig;
//!     create: |config, cx, _pipeline| Ok(Processor::Stage(stage(config, &cx.host.metrics, &cx.id.to_string()))),
//!     signals: Support::all(Stability::Beta),
//!     change: |_, new| Change::of_stage(new),
//! }
//! ```
//!
//! `aliases: ["former"]`, `touches: |config| …` (what the component would reach out to), `lacks: |config, signal| …` (what is missing for
//! a signal), `offers: |config| …` (what an extension does for others, with these settings or, without any, at all), `section: |section, problems| …` (what only the section can say, before it is parsed) and `files: |section, problems| …` (what the
//! files that it names say) may stand where needed, in this order.

/// Defines a factory: its name, settings, signals, and what a change of the settings does. How it creates is for its kind.
#[macro_export]
macro_rules! factory {
    (
        $(#[$doc:meta])*
        $factory:ident: $name:literal, $settings:ty;
        $(aliases: [$($alias:literal),*],)?
        signals: $signals:expr,
        change: $change:expr
        $(, touches: $touches:expr)?
        $(, lacks: $lacks:expr)?
        $(, offers: $offers:expr)?
        $(, pipelines: $pipelines:expr)?
        $(, section: $section:expr)?
        $(, files: $files:expr)?
        $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $factory;

        impl $crate::factory::Factory for $factory {
            fn descriptor(&self) -> &$crate::factory::Descriptor {
                const DESCRIPTOR: $crate::factory::Descriptor = $crate::factory::Descriptor {
                    name: $name,
                    aliases: &[$($($alias),*)?],
                    signals: &$signals,
                    module: env!("CARGO_PKG_NAME"),
                };
                &DESCRIPTOR
            }

            fn parse(
                &self,
                section: &::phoenix_config::Node,
                problems: &mut ::phoenix_config::Problems,
            ) -> Option<$crate::factory::SharedSettings> {
                $(
                    let look: fn(&::phoenix_config::Node, &mut ::phoenix_config::Problems) = $section;
                    look(section, problems);
                )?
                $crate::factory::parse_settings::<$settings>(section, problems)
            }

            $(
                fn examine(&self, section: &::phoenix_config::Node, problems: &mut ::phoenix_config::Problems) {
                    let look: fn(&::phoenix_config::Node, &mut ::phoenix_config::Problems) = $files;
                    look(section, problems);
                }
            )?

            fn change(
                &self,
                old: &dyn $crate::factory::AnySettings,
                new: Option<&dyn $crate::factory::AnySettings>,
            ) -> $crate::Change {
                let change: fn(&$settings, Option<&$settings>) -> $crate::Change = $change;
                change($crate::factory::settings_of(old), new.map($crate::factory::settings_of))
            }

            fn shape(&self) -> ::phoenix_config::Shape {
                <$settings as ::phoenix_config::Described>::shape()
            }

            $(
                fn touches(&self, settings: &dyn $crate::factory::AnySettings) -> Vec<$crate::Touch> {
                    let touches: fn(&$settings) -> Vec<$crate::Touch> = $touches;
                    touches($crate::factory::settings_of(settings))
                }
            )?

            $(
                fn lacks(
                    &self,
                    settings: &dyn $crate::factory::AnySettings,
                    signal: ::phoenix_pdata::Signal,
                ) -> Option<String> {
                    let lacks: fn(&$settings, ::phoenix_pdata::Signal) -> Option<String> = $lacks;
                    lacks($crate::factory::settings_of(settings), signal)
                }
            )?

            $(
                fn offers(
                    &self,
                    settings: Option<&dyn $crate::factory::AnySettings>,
                ) -> Vec<::phoenix_config::Capability> {
                    let offers: fn(Option<&$settings>) -> Vec<::phoenix_config::Capability> = $offers;
                    offers(settings.map($crate::factory::settings_of))
                }
            )?

            $(
                fn pipelines(&self, settings: &dyn $crate::factory::AnySettings) -> Vec<(String, String)> {
                    let pipelines: fn(&$settings) -> Vec<(String, String)> = $pipelines;
                    pipelines($crate::factory::settings_of(settings))
                }
            )?
        }
    };
}

/// Defines the factory of a processor; `create` is a function of settings, context and pipeline.
#[macro_export]
macro_rules! processor_factory {
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty; create: $create:expr, $($rest:tt)*) => {
        $crate::factory! { $(#[$doc])* $factory: $name, $settings; $($rest)* }

        impl $crate::factory::ProcessorFactory for $factory {
            fn create(
                &self,
                settings: &dyn $crate::factory::AnySettings,
                cx: $crate::factory::CreateContext<'_>,
                pipeline: &::phoenix_config::PipelineId,
            ) -> Result<$crate::Processor, $crate::StartError> {
                let create: fn(
                    &$settings,
                    &$crate::factory::CreateContext<'_>,
                    &::phoenix_config::PipelineId,
                ) -> Result<$crate::Processor, $crate::StartError> = $create;
                create($crate::factory::settings_of(settings), &cx, pipeline)
            }
        }
    };
}

/// Defines the factory of an exporter; `create` is a function of settings, context and signal.
#[macro_export]
macro_rules! exporter_factory {
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty; create: $create:expr, $($rest:tt)*) => {
        $crate::factory! { $(#[$doc])* $factory: $name, $settings; $($rest)* }

        impl $crate::factory::ExporterFactory for $factory {
            fn create(
                &self,
                settings: &dyn $crate::factory::AnySettings,
                cx: $crate::factory::CreateContext<'_>,
                signal: ::phoenix_pdata::Signal,
            ) -> Result<::std::sync::Arc<dyn $crate::Exporter>, $crate::StartError> {
                let create: fn(
                    &$settings,
                    &$crate::factory::CreateContext<'_>,
                    ::phoenix_pdata::Signal,
                ) -> Result<::std::sync::Arc<dyn $crate::Exporter>, $crate::StartError> = $create;
                create($crate::factory::settings_of(settings), &cx, signal)
            }
        }
    };
}

/// Defines the factory of an extension; `create` is a function of settings and context.
///
/// The short form `Factory: "name", Settings => Extension, |settings| capabilities` is for extensions that others ask (for a token, for a client, for
/// headers), made by `new(&settings, &context)`: whoever asks keeps the way to it over a change, so every change is one
/// without state.
#[macro_export]
macro_rules! extension_factory {
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty => $extension:ty, $offers:expr) => {
        $crate::extension_factory! {
            $(#[$doc])*
            $factory: $name, $settings;
            create: |settings, cx| Ok(::std::sync::Arc::new(<$extension>::new(settings, cx)?)),
            signals: [],
            change: |_, _| $crate::Change::stateless(),
            touches: <$settings>::touches,
            offers: $offers,
        }
    };
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty; create: $create:expr, $($rest:tt)*) => {
        $crate::factory! { $(#[$doc])* $factory: $name, $settings; $($rest)* }

        impl $crate::factory::ExtensionFactory for $factory {
            fn create(
                &self,
                settings: &dyn $crate::factory::AnySettings,
                cx: $crate::factory::CreateContext<'_>,
            ) -> Result<::std::sync::Arc<dyn $crate::Extension>, $crate::StartError> {
                let create: fn(
                    &$settings,
                    &$crate::factory::CreateContext<'_>,
                ) -> Result<::std::sync::Arc<dyn $crate::Extension>, $crate::StartError> = $create;
                create($crate::factory::settings_of(settings), &cx)
            }
        }
    };
}

/// Defines the factory of a connector; `create` is a function of settings, context, both signals and the outlets.
#[macro_export]
macro_rules! connector_factory {
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty; create: $create:expr, $($rest:tt)*) => {
        $crate::factory! { $(#[$doc])* $factory: $name, $settings; $($rest)* }

        impl $crate::factory::ConnectorFactory for $factory {
            fn create(
                &self,
                settings: &dyn $crate::factory::AnySettings,
                cx: $crate::factory::CreateContext<'_>,
                from: ::phoenix_pdata::Signal,
                to: ::phoenix_pdata::Signal,
                outlets: $crate::ConnectorOutlets,
            ) -> Result<$crate::Connector, $crate::StartError> {
                let create: fn(
                    &$settings,
                    &$crate::factory::CreateContext<'_>,
                    (::phoenix_pdata::Signal, ::phoenix_pdata::Signal),
                    $crate::ConnectorOutlets,
                ) -> Result<$crate::Connector, $crate::StartError> = $create;
                create($crate::factory::settings_of(settings), &cx, (from, to), outlets)
            }
        }
    };
}

/**
 * Several devices as one: each part in a process of its own, inputs and outputs in files that all processes map.
 *
 * <p>{@code CombinedDevice} is the parent's side, {@code PartMain} a part's. What the parent wants is an {@code Order}.
 */
package io.github.flashlla.combined;

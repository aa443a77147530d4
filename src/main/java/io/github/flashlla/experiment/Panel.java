package io.github.flashlla.experiment;

/**
 * The axes of one figure.
 *
 * @param id names the figure's file, and the curves that belong to it
 * @param caption what is to be seen, in one sentence
 */
public record Panel(String id, String caption, String xTitle, String yTitle, boolean logX, boolean logY) {}

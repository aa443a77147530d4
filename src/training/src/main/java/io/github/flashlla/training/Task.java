package io.github.flashlla.training;

import java.util.random.RandomGenerator;

/** Where sequences come from. */
interface Task {
    /** Width of an input row. */
    int inputs();

    /** Width of a target row. */
    int outputs();

    /** The longest sequence. */
    int longest();

    /** Whether targets are classes; else they are numbers, and the loss is the mean square error. */
    boolean classes();

    /** Fresh sequences of one length. */
    Batch draw(RandomGenerator random, int size);
}

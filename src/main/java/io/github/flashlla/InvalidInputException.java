package io.github.flashlla;

/** An argument that cannot be used; the message says what, where and what to do, in one sentence. */
public class InvalidInputException extends IllegalArgumentException {
    public InvalidInputException(String message) {
        super(message);
    }
}

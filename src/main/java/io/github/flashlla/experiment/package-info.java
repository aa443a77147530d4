/** The paper's claims, each measured by one command: its question, data, methods, figure, and what must hold. */
package io.github.flashlla.experiment;
